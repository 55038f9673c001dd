"""Events about the desired commit, and their origins."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class RepositoryOrigin(Origin):
    """Origins of events about the desired commit."""

    GIT = "git"
    """The fetch."""
    WEBHOOK = "webhook"
    """The webhook listener, on behalf of a forge."""


class RepositoryEvent(EventKind):
    """Events about the desired commit."""

    PUSHED = "pushed"
    """The branch has, or may have, a new head. Attributes of a webhook: `branch`, `commit`, `delivery`."""
    REVISION = "revision"
    """There is a new desired commit. Attribute `previous`."""
    FETCH_FAILED = "fetch-failed"
    """The fetch failed, or its result was refused. Attributes `message`, `attempt`."""

    @property
    def is_cause(self) -> bool:
        """See `EventKind`."""
        return self in (RepositoryEvent.PUSHED, RepositoryEvent.REVISION)
