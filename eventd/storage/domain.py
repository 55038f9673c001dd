"""The domain storage: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.kernel.domain import Built, Context, Domain, PolicyRow, Source, Stage
from eventd.mounts.adapter_transient_mounts import TransientMounts
from eventd.mounts.source import MountsSource
from eventd.mounts.source_kernel_errors import KernelErrorsSource
from eventd.platform.processes.unit_process import Processes
from eventd.platform.systemd.source import SystemSource
from eventd.state.controller_inventory import Inventory
from eventd.storage import routes as routes_storage
from eventd.storage.adapter_disk_usage import DiskUsage
from eventd.storage.adapter_mount_points import HelperMountPoints
from eventd.storage.adapter_volume_moves import UnitMoves
from eventd.storage.controller import VolumeController
from eventd.storage.controller_memory import StorageMemory
from eventd.storage.controller_sizes import Sizes
from eventd.storage.documents import Storage
from eventd.storage.model_action_table import ACTIONS
from eventd.storage.model_events import StorageEvent
from eventd.storage.model_facts import StorageFact
from eventd.storage.model_file import PLACES, in_places
from eventd.storage.model_ports import MountPoints, Mounts, Moves
from eventd.storage.settings import TABLES, StorageTable
from eventd_handlers.storage import StorageHandlers
from eventd_handlers.storage_migration import MigrationHandlers
from eventd_handlers.storage_unmounting import Unmounting
from eventd_policies.storage_placement import placement


def connect(context: Context) -> Iterable[Source]:
    """Share what mounts, moves and measures."""
    system, folder = context.need(SystemSource), f"{context.settings.paths.runtime}/volume"
    points = context.share(HelperMountPoints, HelperMountPoints(system, folder))
    context.share(MountPoints, points)
    context.share(Mounts, TransientMounts(system, folder))
    context.share(Moves, UnitMoves(system, points.order, folder))
    context.share(Sizes, Sizes(DiskUsage(context.need(Processes)).measure))
    return ()


def build(context: Context) -> Built:
    """Make the controller of volumes, on a host that has what mounts them."""
    mounts, points, moves = context.find(Mounts), context.find(MountPoints), context.find(Moves)
    if mounts is None or points is None or moves is None:
        return Built()
    places = (*PLACES, *context.settings.table(StorageTable).paths)
    errors, table = context.find(KernelErrorsSource), context.find(MountsSource)
    controller = VolumeController(
        StorageMemory(context.need(Inventory).documents, context.emit),
        context.emit,
        context.wall,
        allowed=lambda path: in_places(path, places),
        in_use=errors.want if errors is not None else lambda _any: None,
        suspect=table.refresh if table is not None else lambda: None,
    )
    sizes = context.find(Sizes)
    if sizes is not None:
        context.share(Storage, Storage(controller, sizes))
    unmounting = Unmounting(controller, mounts, points)
    handlers = {**StorageHandlers(unmounting).table(), **MigrationHandlers(unmounting, moves).table()}
    return Built(controllers=(controller,), handlers=handlers)


DOMAIN = Domain(
    name="storage",
    facts=(StorageFact,),
    events=(StorageEvent,),
    actions=ACTIONS,
    policies=(PolicyRow(Stage.CONDITION, lambda _host: placement),),
    routes=routes_storage.ROUTES,
    settings=TABLES,
    connect=connect,
    build=build,
)
