"""Scope: the daemon that is tested on the simulated host has the policies, handlers and endings of the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eventd import domains
from eventd.composition import Composition, compose
from eventd.engine import Engine
from eventd.kernel.executor import Handler
from eventd.kernel.model.action import Action
from eventd.settings import load
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story
from tests.simulated.test_storage import DiskStory

CONFIG = """
git_account = ""
check_account = ""
[repository]
url = "https://forge.example/repo.git"
[paths]
runtime = "{0}/run"
state = "{0}/state"
git = "{0}/git"
transforms = "{0}/transforms"
"""


def composed(folder: Path) -> Composition:
    """Compose a real daemon; it is never started."""
    config = folder / "eventd.toml"
    config.write_text(CONFIG.format(folder))
    return compose(load(config))


def engine_of(make: Callable[[], Story]) -> Engine:
    """Return the engine of a story."""

    async def main() -> Engine:
        story = make()
        await story.start()
        return story.engine

    return run(main())


def names(engine: Engine) -> list[str]:
    """Return what each policy is, in order: `module.function` or `module.Class`."""
    found = []
    for policy in engine.parts.policies:
        kind: Any = policy if hasattr(policy, "__qualname__") else type(policy)
        found.append(f"{kind.__module__}.{kind.__qualname__}")
    return found


def named(handlers: Mapping[type[Action], Handler]) -> dict[str, str]:
    """Return action -> module and name of its handler."""
    found: Mapping[Any, Any] = handlers
    return {action.__name__: f"{each.__module__}.{each.__qualname__}" for action, each in found.items()}


def test_the_simulated_daemon_asks_the_policies_of_the_real_one(tmp_path: Path) -> None:
    """The same ones in the same order, with the simulated disks as without."""
    real = names(composed(tmp_path).engine)
    assert len(real) > 8
    assert "eventd_policies.storage_placement.placement" in real
    assert names(engine_of(Story)) == real
    assert names(engine_of(DiskStory)) == real


def test_the_simulated_daemon_has_the_handlers_of_the_real_one(tmp_path: Path) -> None:
    """Each action is carried out by the same function; those of volumes where there are simulated disks."""
    real = named(composed(tmp_path).engine.handlers)
    plain = named(engine_of(Story).handlers)
    assert len(plain) > 15
    assert plain == {action: real[action] for action in plain}
    assert named(engine_of(DiskStory).handlers) == real


def test_every_action_that_is_carried_out_has_an_ending(tmp_path: Path) -> None:
    """What a crash leaves open is settled by the one table of both daemons, and nothing in it is left over."""
    verbs = {action.verb for action in composed(tmp_path).engine.handlers}
    assert verbs == {row.verb for row in domains.load().actions}
