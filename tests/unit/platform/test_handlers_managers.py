"""Scope: crashes between what a handler does and what it remembers, at every step boundary."""

from __future__ import annotations

from eventd_simulators.faults import Faults
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story, container


async def life(crash_at: int | None) -> tuple[int, dict[str, object]]:
    """Deploy two workloads (dying once, at `crash_at`), remove one; return the steps, and how it ended."""
    story = Story(Faults(crash_at=crash_at))
    story.world.remote.push({**container("old"), **container("web")})
    await story.start()
    if crash_at is None:
        await story.quiet(100)
    else:
        await story.until_dead()
        await story.start()
        await story.quiet(300)
    steps = story.host.life.steps
    story.push(container("web"))
    await story.quiet(300)
    model, memory = story.world.model, story.world.disk.records
    end = {
        "accounts": sorted(account.name for account in model.accounts if account.uid),
        "linger": [name for name in ("old", "web") if model.logind.is_lingering(name)],
        "managers": sorted(model.managers),
        "files": sorted(
            path.rpartition("/")[2] for path, _ in story.world.tree.below("/etc/containers/systemd/users")
        ),
        "retained": sorted(name for name, record in memory.workloads.items() if record.retained),
        "units": {name: sorted(rows) for name, rows in memory.units.items()},
        "open": len(story.world.disk.steps),
    }
    return steps, end


def test_a_crash_leaves_nothing_that_a_removal_does_not_undo() -> None:
    """Kill -9 at each boundary of a deployment, then a removal: the end is that of an undisturbed life."""
    steps, undisturbed = run(life(None))
    assert undisturbed["linger"] == ["web"]
    assert undisturbed["open"] == 0
    for step in range(1, steps + 1):
        assert run(life(step))[1] == undisturbed, f"killed at step {step}"
