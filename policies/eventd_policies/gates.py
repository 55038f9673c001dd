"""Gates: nothing of a workload starts before what it requires holds. Everything else of it may go on.

The account, the files and the manager are made ready meanwhile, so that the start is all that is left when the gate
opens. A hold names what is missing, and the facts whose change is a reason to look again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eventd.gates.model_predicate_atoms import UnitIs
from eventd.gates.model_predicates import Missing, missing
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import VOLUME_AWAY
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.storage.model_facts import StorageFact
from eventd.workloads.model_actions import PullImages, RestartUnit, StartUnit
from eventd.workloads.model_case import Case


def gates(case: Case) -> Verdict:
    """Hold a start whose workload's `requires` does not hold, and a pull for one."""
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
        hint="; ".join(_starting(parts, case.facts)),
    )


def _is_volume(part: Missing) -> bool:
    """Tell whether only a volume is missing: a disk that a person took away, and may bring back next week."""
    return all(key.kind is StorageFact.VOLUME for key in part.keys)


def _starting(parts: Iterable[Missing], facts: Facts) -> Iterator[str]:
    """Yield how to start what nothing on this host starts: a target that no enabled unit wants, say."""
    for atom in (atom for part in parts for atom in part.atoms):
        if isinstance(atom, UnitIs) and not atom.workload and atom.is_left_alone(facts):
            name = atom.name
            yield (
                f"nothing starts {name}: systemctl start {name}, and for each boot"
                f" systemctl add-wants multi-user.target {name}"
            )
