"""Workload names that are already taken on this host, so that no account can be created for them.

Pure. `eventctl check` uses it when it runs on the target host; otherwise the daemon finds the conflict in its first
run, which is after the push. `eventd.accounts.commands_host_accounts` reads the taken names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eventd.kernel.model.diagnostics import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class Taken:
    """Accounts and groups of a host that have the names of workloads."""

    accounts: Mapping[str, int]
    """Account -> uid."""
    groups: Mapping[str, int]
    """Group -> gid."""
    ours: AbstractSet[str] | None
    """Accounts that eventd created or adopted; None: the caller may not read that."""


def conflicts(
    origins: Mapping[str, str], taken: Taken, protected: Callable[[str, int], str]
) -> Iterator[Diagnostic]:
    """Yield the conflicts. `origins`: workload -> its place in the repository."""
    for name, origin in sorted(origins.items()):
        uid, gid = taken.accounts.get(name), taken.groups.get(name)
        if uid is None:
            if gid is not None:
                message = (
                    f"this host already has a group {name} (gid {gid}), so the account cannot be created"
                )
                yield _finding(origin, Severity.ERROR, "group-exists", message, "rename the workload")
        elif why := protected(name, uid):
            message = f"{why}: eventd never touches it"
            yield _finding(origin, Severity.ERROR, "protected-name", message, "rename the workload")
        elif taken.ours is None:
            message = f"this host already has an account {name} (uid {uid}); only root can tell whether it is eventd's"
            yield _finding(origin, Severity.WARNING, "account-exists", message, "check as root on the host")
        elif name not in taken.ours:
            message = f"this host already has an account {name} (uid {uid}) that eventd did not create"
            hint = f"rename the workload; or hand the account over: eventctl adopt {name}"
            yield _finding(origin, Severity.ERROR, "account-exists", message, hint)


def _finding(origin: str, severity: Severity, code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity, origin, 0, "", message, hint, code)
