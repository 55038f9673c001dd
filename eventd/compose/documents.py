"""The daemon's check of the compose provider, for `eventctl doctor`."""

from __future__ import annotations

from eventd.api.model_answers import Check
from eventd.desired.model import Desired, FileRole
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import FileKind
from eventd.workloads.model_facts import NamedState, WorkloadFact


def checks(desired: Desired | None, facts: Facts, provider: str) -> list[Check]:
    """Return the check of the compose provider, if any workload is a stack."""
    stacks = [
        name
        for name, workload in (desired.workloads if desired is not None else {}).items()
        if any(file.role is FileRole.STACK for file in workload.files)
    ]
    if not stacks:
        return []
    state = facts.get(FactKey(WorkloadFact.NAMED, provider))
    usable = isinstance(state, NamedState) and state.kind is FileKind.REGULAR and state.executable
    message, hint = f"{provider} is installed", ""
    if not isinstance(state, NamedState):
        message = f"{provider} has not been checked yet"
    elif not usable:
        message = f"{provider} does not exist or is not executable; stacks on this host: {', '.join(stacks)}"
        hint = "apt install docker-compose, or set provider in [compose] of eventd.toml"
    return [
        {
            "name": "compose provider",
            "ok": usable or not isinstance(state, NamedState),
            "message": message,
            "hint": hint,
        }
    ]
