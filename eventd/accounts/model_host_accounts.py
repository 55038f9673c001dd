"""Names of workloads that this host cannot give an account to, because they are somebody's already.

Pure. `eventctl check` asks it where it runs on the host that it checks for; the daemon finds the same at the first run,
which is after the push. What is taken is read by `eventd.accounts.commands_host_accounts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eventd.kernel.model.diagnostics import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class Taken:
    """What stands on a host under the names of workloads."""

    accounts: Mapping[str, int]
    """Account -> uid."""
    groups: Mapping[str, int]
    """Group -> gid."""
    ours: AbstractSet[str] | None
    """Accounts that eventd made or was handed; None: that cannot be seen by who asks."""


def conflicts(
    origins: Mapping[str, str], taken: Taken, protected: Callable[[str, int], str]
) -> Iterator[Diagnostic]:
    """Yield what the host will refuse; `origins`: workload -> its place in the repository."""
    for name, origin in sorted(origins.items()):
        uid, gid = taken.accounts.get(name), taken.groups.get(name)
        if uid is None:
            if gid is not None:
                message = f"this host has a group {name} (gid {gid}), so no account of that name can be made"
                yield _finding(origin, Severity.ERROR, "group-exists", message, "rename the workload")
        elif why := protected(name, uid):
            message = f"{why}: it is never touched on this host"
            yield _finding(origin, Severity.ERROR, "protected-name", message, "rename the workload")
        elif taken.ours is None:
            message = (
                f"this host has an account {name} (uid {uid}), and only root can see whether it is eventd's"
            )
            yield _finding(origin, Severity.WARNING, "account-exists", message, "check as root on the host")
        elif name not in taken.ours:
            message = f"this host has an account {name} (uid {uid}) that eventd did not make"
            hint = f"rename the workload; or hand the account over: eventctl adopt {name}"
            yield _finding(origin, Severity.ERROR, "account-exists", message, hint)


def _finding(origin: str, severity: Severity, code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity, origin, 0, "", message, hint, code)
