"""Gates: no unit of a workload starts before its `requires` holds. Everything else may go ahead.

Account, files and manager are prepared meanwhile, so that only the start is left when the gate opens. A hold names what
is missing, and the facts whose change wakes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eventd.gates.model_predicate_atoms import Present, UnitIs
from eventd.gates.model_predicates import Missing, missing
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import VOLUME_AWAY
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.storage.model_facts import StorageFact
from eventd.updates.model_actions import PullImages
from eventd.workloads.model_actions import RestartUnit, StartUnit
from eventd.workloads.model_case import Case


def gates(case: Case) -> Verdict:
    """Hold starts, and pulls for them, while the workload's `requires` does not hold."""
    if not isinstance(case.action, (StartUnit, RestartUnit, PullImages)) or case.gates.requires is None:
        return ALLOW
    parts = missing(case.gates.requires, case.facts)
    if not parts:
        return ALLOW
    return Hold(
        VOLUME_AWAY if all(_is_volume(part) for part in parts) else "gate",
        "; ".join(part.sentence for part in parts),
        wakes_on=case.gates.requires.keys(),
        waits_for=tuple(part.text for part in parts),
        hint="; ".join(_ways_out(parts, case.facts)),
    )


def _is_volume(part: Missing) -> bool:
    """Return whether the missing part is a volume: a disk that a person removed, and may bring back next week."""
    return all(key.kind is StorageFact.VOLUME for key in part.keys)


def _ways_out(parts: Iterable[Missing], facts: Facts) -> Iterator[str]:
    """Yield how to start units that nothing on this host starts, and how to get volumes back."""
    for atom in (atom for part in parts for atom in part.atoms):
        if isinstance(atom, UnitIs) and not atom.workload and atom.is_left_alone(facts):
            name = atom.name
            yield (
                f"nothing starts {name}: systemctl start {name}, and for each boot"
                f" systemctl add-wants multi-user.target {name}"
            )
        elif isinstance(atom, Present) and atom.kind is StorageFact.VOLUME:
            yield f"attach its disk; if it was ejected: eventctl storage attach {atom.name}"
