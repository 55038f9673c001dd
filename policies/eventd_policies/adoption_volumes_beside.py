"""Volumes beside full ones: in an account that was handed over, no empty volume is made for data that is there already.

The deployment before it called the project, and so the volume, otherwise. To go on with an empty one looks like a loss
of all data; to guess which is meant could write into somebody else's. So whoever runs the host decides, by a name.
"""

from __future__ import annotations

from eventd.adoption.model_facts import AdoptionFact, StoreState
from eventd.adoption.model_finds import beside, project_of
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.workloads.model_actions import EnableLinger, PutFile, RestartUnit, StartManager, StartUnit
from eventd.workloads.model_case import Case
from eventd.workloads.plan import begins_in_adopted

REASON = "volumes-elsewhere"


def volumes_beside(case: Case) -> Verdict:
    """Hold all that leads to a start, as long as a volume of it would be new beside one that may be meant."""
    workload = case.workload
    if workload is None or not isinstance(
        case.action, (PutFile, EnableLinger, StartManager, StartUnit, RestartUnit)
    ):
        return ALLOW
    key = FactKey(AdoptionFact.STORE, workload.name)
    store = case.facts.get(key)
    if not isinstance(store, StoreState) or not begins_in_adopted(workload, case.records):
        return ALLOW
    found = beside(workload.stores, store.volumes)
    if not found:
        return ALLOW
    wanted, other = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message = (
        f"the volume {wanted.name} would be new and empty, and the account has {other.name} already{more}"
    )
    if wanted.stack:
        project, place = project_of(wanted, other), workload.options.place.key("compose.project")
        hint = (
            f'to go on with it: project = "{project}" ({place}); for new volumes: project = "{workload.name}"'
        )
        if not project:
            hint = f"to go on with it: name: {other.name} below volumes/{wanted.key} in {wanted.file}"
    else:
        hint = f"to go on with it: VolumeName={other.name} in {wanted.file}; for a new one: VolumeName={wanted.name}"
    return Hold(REASON, message, wakes_on=frozenset({key}), hint=hint)
