"""The domain health: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.health.documents_metrics import families
from eventd.health.model_action_table import ACTIONS
from eventd.health.model_actions import Verify
from eventd.health.model_events import HealthEvent, HealthOrigin
from eventd.health.model_facts import HealthFact
from eventd.health.source import ContainerHealthSource
from eventd.health.source_podman_table import PodmanTable
from eventd.kernel.domain import Context, Domain, Source
from eventd.platform.journal_follow import JournalFollow
from eventd.updates.source_image_store import ImageStoreSource
from eventd_handlers import health_verify as verify


def connect(context: Context) -> Iterable[Source]:
    """Follow what podman writes of containers and their health."""
    table = context.share(PodmanTable, PodmanTable(context.need(ImageStoreSource).happened))
    source = ContainerHealthSource(context.emit, JournalFollow(), table)
    context.share(ContainerHealthSource, source)
    return (Source("container-health", source.run, source.state, invalidate=source.invalidate),)


DOMAIN = Domain(
    name="health",
    facts=(HealthFact,),
    events=(HealthEvent,),
    origins=(HealthOrigin,),
    actions=ACTIONS,
    handlers={Verify: verify.verify},
    metrics=(families,),
    connect=connect,
)
