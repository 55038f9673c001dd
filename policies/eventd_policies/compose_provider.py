"""The compose provider: a stack is not written or started while the program that applies it is missing.

The stack's unit names the program, so a wrong path would take the stack down at its next restart, long after it was
written. Running stacks keep running; held ones continue once the program exists.
"""

from __future__ import annotations

from eventd.desired.model import FileRole
from eventd.files.model_actions import PutFile
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.platform.model_facts import FileKind
from eventd.workloads.model_actions import RestartUnit, StartUnit
from eventd.workloads.model_case import Case, Policy
from eventd.workloads.model_facts import NamedState, WorkloadFact

REASON = "no-compose-provider"


def provider(path: str) -> Policy:
    """Return the policy for a host whose stacks are applied by the program `path`."""
    key = FactKey(WorkloadFact.NAMED, path)

    def verdict(case: Case) -> Verdict:
        stack = case.workload is not None and any(file.role is FileRole.STACK for file in case.workload.files)
        if not stack or not isinstance(case.action, (PutFile, StartUnit, RestartUnit)):
            return ALLOW
        state = case.facts.get(key)
        if not isinstance(state, NamedState) or (state.kind is FileKind.REGULAR and state.executable):
            return ALLOW
        what = "does not exist" if state.kind is None else "is not executable"
        return Hold(
            REASON,
            f"the compose provider {path} {what}",
            wakes_on=frozenset({key}),
            hint="apt install docker-compose, or set provider in [compose] of eventd.toml",
        )

    return verdict
