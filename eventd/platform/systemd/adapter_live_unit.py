"""Reads one loaded unit with its dependencies, for the wait graph."""

from __future__ import annotations

from eventd.platform.dbus.connection import PROPERTIES, Bus
from eventd.platform.systemd.adapter_unit_values import SYSTEMD, UNIT, unit_path
from eventd.platform.systemd.model_live_unit import ORDERINGS, PULLS, LiveUnit

_RELATIONS = frozenset({*ORDERINGS, *PULLS})


async def live_unit(bus: Bus, name: str) -> LiveUnit:
    """Return a unit as its manager has it. Loads the unit if it is not loaded."""
    path = unit_path(name)
    unit = await bus.get_all(SYSTEMD, path, UNIT)
    name = str(unit.get("Id", name))  # `name` may be an alias
    kind = ""
    listens: tuple[str, ...] = ()
    # Get and not GetAll: a service has 400 properties.
    match name.rpartition(".")[2]:
        case "service":
            (kind,) = await bus.call(
                SYSTEMD, path, PROPERTIES, "Get", "ss", [f"{SYSTEMD}.Service", "Type"], reply="v"
            )
        case "socket":
            (rows,) = await bus.call(
                SYSTEMD, path, PROPERTIES, "Get", "ss", [f"{SYSTEMD}.Socket", "Listen"], reply="v"
            )
            listens = tuple(str(address) for what, address in rows if what == "Stream")
    relations = {each: tuple(map(str, unit.get(each, ()))) for each in _RELATIONS}
    return LiveUnit(name, relations, str(kind), listens, str(unit.get("FragmentPath", "")))
