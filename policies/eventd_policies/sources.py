"""Sources: no action is taken on facts that have not been read, or through a peer that is away.

Everything that does not need the source goes on. Without systemd nothing can be done. Without logind, lingering is not
changed, no user manager is started or stopped (that needs a session of logind: each try would hang for a minute and
fail), and no account is adopted, renamed or deleted (somebody may be logged in). Without mounts and devices, nothing is
done to workloads with volumes; above all, they are not stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventd.adoption.model_actions import AdoptAccount
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import SourceTrouble
from eventd.kernel.model.source_state import source
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.managers.model_actions import DisableLinger, EnableLinger, StartManager, StopManager
from eventd.removal.model_actions import DeleteAccount, RenameAccount
from eventd.storage.plan import PREFIX
from eventd.workloads.model_case import Case

LOGIND: tuple[type[Action], ...] = (
    EnableLinger,
    DisableLinger,
    StartManager,
    StopManager,
    AdoptAccount,
    DeleteAccount,
    RenameAccount,
)
KEPT = frozenset({"mounts", "devices"})
"""Sources whose last facts still count while they have an error: if a disk goes away, the other one sees it."""


def sources(case: Case) -> Verdict:
    """Hold an action that needs a source that is away."""
    for name in _needed(case):
        fact = source(name)
        value = case.facts.get(fact)
        trouble = value if isinstance(value, SourceTrouble) else None
        if value is True or (trouble is not None and trouble.known and name in KEPT):
            continue
        return Hold(
            f"{name}-unavailable",
            trouble.message if trouble is not None else f"{name} has not been read yet",
            wakes_on=frozenset({fact}),
            waits_for=(f"source:{name}",),
            hint=trouble.hint if trouble is not None else "",
        )
    return ALLOW


def _needed(case: Case) -> Iterator[str]:
    yield "systemd"
    if isinstance(case.action, LOGIND):
        yield "logind"
    if case.action.workload.startswith(PREFIX) or (case.workload is not None and case.workload.volumes):
        yield from sorted(KEPT)
