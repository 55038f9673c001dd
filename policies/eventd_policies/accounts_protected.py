"""Protected accounts are never touched, whatever the repository or a group says.

Protected accounts are root, every uid outside of the login range, the configured names, and eventd's own accounts. An
existing account without a record is not adopted silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eventd.accounts.model_actions import CreateAccount
from eventd.adoption.model_actions import AdoptAccount
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Deny, Hold, Verdict
from eventd.platform.model_facts import PlatformFact
from eventd.workloads.model_case import Case

OWN = frozenset({"root", "nobody", "eventd", "eventd-git", "eventd-webhook", "eventd-managed"})


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules from the host's configuration."""

    names: frozenset[str] = frozenset()
    uid_min: int = 1000
    uid_max: int = 60000
    """UID_MIN and UID_MAX of login.defs(5)."""


def why_protected(rules: Rules, name: str, uid: int | None) -> str:
    """Return why an account is protected; empty if it is not."""
    if name in rules.names or name in OWN:
        return f"the account {name} is protected"
    if uid is not None and not rules.uid_min <= uid <= rules.uid_max:
        return f"the account {name} has uid {uid}, outside of {rules.uid_min} to {rules.uid_max}"
    return ""


def protected(rules: Rules) -> Callable[[Case], Verdict]:
    """Return the policy under these rules."""

    def judge(case: Case) -> Verdict:
        name, account = case.action.workload, case.seen.account
        if why := why_protected(rules, name, account.uid if account is not None else None):
            return Deny("protected", why, "give the workload another name")
        if account is None:
            return ALLOW
        record = case.records.workloads.get(name)
        if isinstance(case.action, AdoptAccount) and case.seen.sessions:
            return Hold(
                "person-logged-in",
                f"somebody is logged in as {name}; the account is adopted once they have logged out",
                wakes_on=frozenset({FactKey(PlatformFact.SESSIONS, name)}),
                waits_for=(f"nobody logged in as {name}",),
            )
        if record is None and not isinstance(case.action, CreateAccount | AdoptAccount):
            return Deny(
                "account-exists",
                f"the account {name} (uid {account.uid}) exists and was not made by eventd",
                f"give the workload another name, or hand over the account: eventctl adopt {name}",
            )
        if record is not None and record.uid != account.uid:
            return Deny(
                "account-changed",
                f"the account {name} had uid {record.uid} when eventd created it, but now has uid {account.uid}",
                "somebody replaced the account; give the workload another name",
            )
        return ALLOW

    return judge
