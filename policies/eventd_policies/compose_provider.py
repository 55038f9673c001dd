"""The compose provider: nothing of a stack is written or started for a program that is not there.

The unit of a stack names it, so a name that leads nowhere would take the stack down at its next restart, long after it
was written. What runs goes on with what it was started with; the rest goes on when the program has come.
"""

from __future__ import annotations

from eventd.desired.model import FileRole
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.platform.model_facts import FileKind
from eventd.workloads.model_actions import PutFile, RestartUnit, StartUnit
from eventd.workloads.model_case import Case, Policy
from eventd.workloads.model_facts import NamedState, WorkloadFact

REASON = "no-compose-provider"


def provider(path: str) -> Policy:
    """Return the policy of a host whose stacks are applied by `path`."""
    key = FactKey(WorkloadFact.NAMED, path)

    def verdict(case: Case) -> Verdict:
        stack = case.workload is not None and any(file.role is FileRole.STACK for file in case.workload.files)
        if not stack or not isinstance(case.action, (PutFile, StartUnit, RestartUnit)):
            return ALLOW
        state = case.facts.get(key)
        if not isinstance(state, NamedState) or (state.kind is FileKind.REGULAR and state.executable):
            return ALLOW
        what = "is not there" if state.kind is None else "is no program that can be run"
        return Hold(
            REASON,
            f"{path}, which is to apply compose files, {what}",
            wakes_on=frozenset({key}),
            hint="apt install docker-compose, or name another one with provider in [compose] of eventd.toml",
        )

    return verdict
