"""What the domain `updates` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.desired.controller_active import ActiveRevision
from eventd.kernel.domain import Built, Context, Domain, Source
from eventd.platform.processes.unit_process import Processes
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory
from eventd.updates import routes as routes_updates
from eventd.updates.adapter_podman import PodmanImages
from eventd.updates.controller import UpdateController
from eventd.updates.controller_images import VerifiedImages
from eventd.updates.documents_metrics import families
from eventd.updates.model_action_table import ACTIONS
from eventd.updates.model_actions import PullImages, TagImages
from eventd.updates.model_events import UpdateEvent
from eventd.updates.model_facts import UpdateFact
from eventd.updates.ports import Images
from eventd.updates.settings import TABLES
from eventd.updates.source_image_store import ImageStoreSource
from eventd.workloads.controller_planner import Planner
from eventd_handlers import updates as images


def connect(context: Context) -> Iterable[Source]:
    """Share podman's images, and keep the facts about those that gates mention."""
    images = context.share(Images, PodmanImages(context.need(Processes)))
    source = ImageStoreSource(context.emit, context.facts, images)
    context.share(ImageStoreSource, source)
    return (Source("image-stores", source.run, invalidate=source.invalidate),)


def build(context: Context) -> Built:
    """Make the controller of updates."""
    host, inventory = context.need(Host), context.need(Inventory)
    images = context.share(VerifiedImages, VerifiedImages(inventory, host.images))
    updates = UpdateController(
        context.need(ActiveRevision),
        context.need(Planner),
        inventory,
        images,
        host.user_managers,
        context.wall,
    )
    context.share(UpdateController, updates)
    return Built(controllers=(updates,))


DOMAIN = Domain(
    name="updates",
    facts=(UpdateFact,),
    events=(UpdateEvent,),
    actions=ACTIONS,
    routes=routes_updates.ROUTES,
    settings=TABLES,
    handlers={PullImages: images.pull, TagImages: images.tag},
    metrics=(families,),
    connect=connect,
    build=build,
)
