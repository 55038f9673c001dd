"""A transient `.path` unit in a user's own manager, which turns a change in the user's folders into a signal.

Root must not watch a home: it would follow the user's paths, and a user who keeps making files would fill the daemon's
one inotify queue. So the user's manager watches, at the user's cost and up to a trigger limit (systemd.path(5)). Each
trigger changes a unit, which the daemon is notified of like any other. The unit is transient (StartTransientUnit):
nothing is installed, and it ends with the manager.

While the triggered service runs, systemd does not watch. To find a change in that time, scan after the path unit is
`waiting` again, as `eventd.audit.source` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eventd.audit.model_places import WATCH_UNIT
from eventd.kernel.model.errors import EventdError
from eventd.platform.dbus.connection import Variant
from eventd.platform.systemd.adapter_unit_values import MANAGER, PATH, SYSTEMD, UNITS, ListedUnit, listed

if TYPE_CHECKING:
    from eventd.platform.systemd.adapter_systemd1 import SystemdManager

TRIGGERS = 20
INTERVAL = 10.0
"""With more triggers than this in this many seconds systemd stops watching: result `trigger-limit-hit`."""
TIMEOUT = 10.0
_TRUE = "/bin/true"


def name_for(folders: Iterable[str]) -> str:
    """Return the unit's name, which depends on the folders: a loaded transient unit cannot be changed."""
    digest = hashlib.sha256("\0".join(sorted(folders)).encode()).hexdigest()
    return f"{WATCH_UNIT}-{digest[:12]}.path"


async def start(manager: SystemdManager, name: str, folders: Sequence[str]) -> None:
    """Have the manager watch `folders`, which need not exist. Returns when the job is queued.

    Raises PermanentError(reason="unit-exists") where it is loaded.
    """
    service = name.removesuffix(".path") + ".service"
    watch = [
        ["Description", Variant("s", "Unit folders of this user, watched for eventd")],
        ["Paths", Variant("a(ss)", [["PathChanged", folder] for folder in folders])],
        ["TriggerLimitBurst", Variant("u", TRIGGERS)],
        ["TriggerLimitIntervalUSec", Variant("t", int(INTERVAL * 1_000_000))],
    ]
    tell = [
        ["Description", Variant("s", "A change in the unit folders of this user, for eventd")],
        ["Type", Variant("s", "oneshot")],
        ["ExecStart", Variant("a(sasb)", [[_TRUE, [_TRUE], False]])],
        ["StartLimitIntervalUSec", Variant("t", 0)],
    ]
    await manager.bus.call(
        SYSTEMD,
        PATH,
        MANAGER,
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        [name, "replace", watch, [[service, tell]]],
        reply="o",
        timeout=TIMEOUT,
    )


async def stop(manager: SystemdManager, name: str) -> None:
    """Stop the unit and reset its failure; returns when that is queued."""
    for member, signature, body, reply in (
        ("ResetFailedUnit", "s", [name], ""),
        ("StopUnit", "ss", [name, "replace"], "o"),
    ):
        try:
            await manager.bus.call(
                SYSTEMD, PATH, MANAGER, member, signature, body, reply=reply, timeout=TIMEOUT
            )
        except EventdError as error:
            if error.reason not in ("no-such-unit", "unit-not-loaded"):
                raise


async def loaded(manager: SystemdManager) -> list[ListedUnit]:
    """Return eventd's path units in the manager, of this daemon process or an earlier one."""
    rows = await manager.bus.call(
        SYSTEMD,
        PATH,
        MANAGER,
        "ListUnitsByPatterns",
        "asas",
        [[], [f"{WATCH_UNIT}-*.path"]],
        reply=UNITS,
        timeout=TIMEOUT,
    )
    return listed(rows)
