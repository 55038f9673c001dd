"""How `eventd-compose` fails: each reason has one name and one exit status, which the unit and the daemon read.

The statuses are of sysexits(3) where one fits, so that `systemctl status` shows a word for it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from eventd.kernel.model.errors import EventdError


class Reason(Enum):
    """Why a stack is not up. The value is the exit status; what it is called is in `word`."""

    PROVIDER = 65
    """`compose up` itself failed: an image that cannot be pulled, a name or port that is taken."""
    UNHEALTHY = 69
    """A container is unhealthy, has ended, or is gone."""
    PODMAN = 71
    """podman does not answer, or not what it should."""
    DEADLINE = 75
    """Not up within the deadline; nothing is known to be broken."""
    FOREIGN = 76
    """A container of the project belongs to another unit, which is active."""
    ENV_FILE = 78
    """A file that the stack needs is missing or not readable."""
    COMPOSE_FILE = 79
    """The compose file is missing, or describes no service."""

    @property
    def word(self) -> str:
        """Return the reason's kebab-case name."""
        return self.name.lower().replace("_", "-")


PERMANENT: Final = (Reason.FOREIGN, Reason.ENV_FILE, Reason.COMPOSE_FILE)
"""A restart by itself does not help: the unit's RestartPreventExitStatus= names these."""


class StackError(EventdError):
    """The stack cannot be started, or has ceased to be up."""

    def __init__(self, why: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, reason=why.word, hint=hint)
        self.why = why
