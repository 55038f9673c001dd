"""How the simulated programs behave: a table from image or unit to times and exit statuses.

A container whose image is called `crash` crashes, one called `missing` cannot be pulled, and so on: so a
repository alone can show each of them. Tests add rows by unit, which win over the image's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Times are in seconds."""

    pull: float = 0.0
    """How long the image takes to pull, once per user."""
    pull_fails: bool = False
    start: float = 0.1
    """From exec to READY=1 (or, of a oneshot, to its end)."""
    start_status: int = 0
    """Not 0: its exit status, instead of becoming ready."""
    failing_starts: int = 0
    """How many starts fail with status 1 before the first good one."""
    runs_for: float | None = None
    """Seconds from ready until it exits by itself; None: it runs until it is stopped."""
    status: int = 0
    """Exit status then."""
    healthy_after: float | None = 0.2
    """From ready to the first passed health check; None: never."""
    stop: float = 0.05
    """From SIGTERM to its end."""
    ignores_term: bool = False
    """Ends only by SIGKILL, after the stop timeout (podman's default: 10 s), with status 137."""
    stop_status: int = 0
    """Exit status after SIGTERM."""


IMAGES = {
    "missing": Behaviour(pull=0.2, pull_fails=True),
    "slow": Behaviour(pull=20.0),
    "crash": Behaviour(runs_for=0.05, status=1),
    "broken": Behaviour(start_status=1),
    "done": Behaviour(runs_for=0.05),
    "stubborn": Behaviour(ignores_term=True),
    "unhealthy": Behaviour(healthy_after=None),
    "flaky": Behaviour(failing_starts=2),
}
"""By the image's name, without registry, folder and tag."""


def short_name(image: str) -> str:
    """Return `web` for `registry.example:5000/team/web:1@sha256:…`."""
    return image.split("@", 1)[0].rsplit("/", 1)[-1].split(":", 1)[0]


@dataclass(slots=True)
class Behaviours:
    """The table. It may be changed while the host runs: it is read at each start and stop."""

    default: Behaviour = Behaviour()
    images: dict[str, Behaviour] = field(default_factory=lambda: dict(IMAGES))
    units: dict[tuple[str, str], Behaviour] = field(default_factory=dict)
    """By scope (user, or empty for the system) and unit name."""
    _images: set[tuple[str, str]] = field(default_factory=set)
    _failed: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, scope: str, unit: str, image: str) -> Behaviour:
        """Return the row for a unit: its own, its image's, or the default."""
        own = self.units.get((scope, unit))
        if own is not None:
            return own
        return self.images.get(short_name(image), self.default) if image else self.default

    def set(self, scope: str, unit: str, **changes: object) -> None:
        """Change some columns of a unit's own row."""
        row = self.units.get((scope, unit), self.default)
        self.units[scope, unit] = replace(row, **changes)  # type: ignore[arg-type]

    def has_image(self, scope: str, image: str) -> bool:
        """Whether a user's store has the image already."""
        return (scope, image) in self._images

    def add_image(self, scope: str, image: str) -> None:
        """Record that the image was pulled."""
        self._images.add((scope, image))

    def start_fails(self, scope: str, unit: str, behaviour: Behaviour) -> bool:
        """Count a start; whether it is one of the first few that fail."""
        failed = self._failed.get((scope, unit), 0)
        if failed >= behaviour.failing_starts:
            return False
        self._failed[scope, unit] = failed + 1
        return True
