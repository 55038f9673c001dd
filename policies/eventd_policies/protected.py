"""Protected accounts are never touched, whatever the repository or a group says.

Protected are root, every uid outside the login range, the configured names, and eventd's own accounts. A name that
belongs to an account which eventd has no record of is not adopted silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eventd.core.actions import CreateAccount
from eventd.core.verdicts import ALLOW, Case, Deny, Verdict

OWN = frozenset({"root", "nobody", "eventd", "eventd-git", "eventd-webhook", "eventd-managed"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the host's configuration says."""

    names: frozenset[str] = frozenset()
    uid_min: int = 1000
    uid_max: int = 60000
    """UID_MIN and UID_MAX of login.defs(5)."""


def protected(rules: Rules) -> Callable[[Case], Verdict]:
    """Return the policy under these rules."""

    def judge(case: Case) -> Verdict:
        name, account = case.action.workload, case.seen.account
        if name in rules.names or name in OWN:
            return Deny("protected", f"the account {name} is protected", "give the workload another name")
        if account is None:
            return ALLOW
        if not rules.uid_min <= account.uid <= rules.uid_max:
            return Deny(
                "protected",
                f"the account {name} has uid {account.uid}, outside of {rules.uid_min} to {rules.uid_max}",
                "give the workload another name",
            )
        record = case.records.workloads.get(name)
        if record is None and not isinstance(case.action, CreateAccount):
            return Deny(
                "account-exists",
                f"the account {name} (uid {account.uid}) exists and was not made by eventd",
                "give the workload another name, or remove the account if it is yours to remove",
            )
        if record is not None and record.uid != account.uid:
            return Deny(
                "account-changed",
                f"the account {name} had uid {record.uid} when eventd made it, and has uid {account.uid} now",
                "somebody has replaced the account: give the workload another name",
            )
        return ALLOW

    return judge
