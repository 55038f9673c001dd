"""Volumes beside full ones: an adopted account gets no new empty volume if its data may be in an existing one.

The previous deployment may have used another project name, and so another volume name. Starting with an empty volume
looks like a loss of all data; guessing could write into the wrong volume. So the operator decides, by setting a name.
"""

from __future__ import annotations

from eventd.adoption.model_facts import AdoptionFact, StoreState
from eventd.adoption.model_finds import beside, project_of
from eventd.files.model_actions import PutFile
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.managers.model_actions import EnableLinger, StartManager
from eventd.workloads.model_actions import RestartUnit, StartUnit
from eventd.workloads.model_case import Case
from eventd.workloads.plan import begins_in_adopted

REASON = "volumes-elsewhere"


def volumes_beside(case: Case) -> Verdict:
    """Hold everything that leads to a start, while it would create a volume beside one that may be meant."""
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
        f"the volume {wanted.name} would be new and empty, but the account already has {other.name}{more}"
    )
    if wanted.stack:
        project, place = project_of(wanted, other), workload.options.place.key("compose.project")
        hint = f'to use it: project = "{project}" ({place}); for new volumes: project = "{workload.name}"'
        if not project:
            hint = f"to use it: name: {other.name} below volumes/{wanted.key} in {wanted.file}"
    else:
        hint = f"to use it: VolumeName={other.name} in {wanted.file}; for a new one: VolumeName={wanted.name}"
    return Hold(REASON, message, wakes_on=frozenset({key}), hint=hint)
