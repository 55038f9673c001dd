"""Restarting some units of a workload for another reason than their content, and seeing all of it up again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from eventd.core.actions import RestartUnit, Verify
from eventd.core.desired import UnitRole, Workload
from eventd.core.observed import Observed
from eventd.kernel.action import Action
from eventd.runtime.converge import Converger

Step: TypeAlias = Callable[[Action, Observed], Awaitable[None]]
"""Carries out one action, judged and journalled (`Converger.carry_out`)."""


async def restart_units(
    step: Step, converger: Converger, workload: Workload, units: tuple[str, ...], why: str
) -> None:
    """Restart units in the order in which they start, then verify the whole workload."""
    options = workload.options
    for unit in workload.units:
        if unit.name in units:
            named = tuple(each.path for each in unit.named if each.content)
            action = RestartUnit(workload.name, unit.name, unit.digest, why, options.deadline, named)
            await step(action, converger.view.of(workload.name, workload))
    names = tuple(unit.name for unit in workload.units if unit.role is UnitRole.RUNNING)
    verify = Verify(workload.name, names, workload.digest, options.deadline, options.grace, why)
    await step(verify, converger.view.of(workload.name, workload))
