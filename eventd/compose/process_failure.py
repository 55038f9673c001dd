"""The failures of `eventd-compose`: each reason has one name and one exit status, for the unit and the daemon.

The statuses are those of sysexits(3) if one fits, so that `systemctl status` shows a word for it.
"""

from __future__ import annotations

from enum import Enum

from eventd.kernel.model.errors import EventdError


class Reason(Enum):
    """Why a stack is not up. The value is the exit status; `word` is the name."""

    PROVIDER = 65
    """`compose up` itself failed: an image cannot be pulled, a name or a port is in use."""
    UNHEALTHY = 69
    """A container is unhealthy, has ended, or is gone."""
    PODMAN = 71
    """podman does not answer, or its answer is invalid."""
    DEADLINE = 75
    """It is not up within the deadline; nothing is known to be broken."""
    FOREIGN = 76
    """A container of the project belongs to another active unit."""
    ENV_FILE = 78
    """A file that the stack needs is missing or unreadable."""
    COMPOSE_FILE = 79
    """The compose file is missing, or has no services."""

    @property
    def word(self) -> str:
        """Return the reason's kebab-case name."""
        return self.name.lower().replace("_", "-")


class StackError(EventdError):
    """The stack cannot be started, or is no longer up."""

    def __init__(self, why: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, reason=why.word, hint=hint)
        self.why = why
