"""Events about the wanted commit: what they are, and who says so."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class RepositoryOrigin(Origin):
    """Who tells of the wanted commit."""

    GIT = "git"
    """The fetch."""
    WEBHOOK = "webhook"
    """The webhook listener: a forge said so."""


class RepositoryEvent(EventKind):
    """Events about the wanted commit."""

    PUSHED = "pushed"
    """The branch has, or may have, a new head. Attributes of a webhook: `branch`, `commit`, `delivery`."""
    REVISION = "revision"
    """The commit that is wanted. Attribute `previous`."""
    FETCH_FAILED = "fetch-failed"
    """The remote could not be asked, or was refused. Attributes `message`, `attempt`."""

    @property
    def is_cause(self) -> bool:
        """See `EventKind`."""
        return self in (RepositoryEvent.PUSHED, RepositoryEvent.REVISION)
