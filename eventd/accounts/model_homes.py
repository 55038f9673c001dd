"""The home of a workload's account: what data it holds, and what happens when it is missing.

Pure. The home is a NAMED fact, like any file that a unit needs (`eventd.files.model_named`); the fact also says which
folder it is, so a unit that runs on a replaced home is restarted. A missing home is created again if eventd created it
and it held only what can be recreated (images, containers). Otherwise its data is lost, and somebody has to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from eventd.desired.model import FileRole, InstallFile, Workload
from eventd.desired.model_own_drop_ins import ORIGIN
from eventd.files.model_named import HOME
from eventd.platform.model_facts import Account
from eventd.unitfiles.model import parse
from eventd.workloads.model_facts import NamedState
from eventd.workloads.model_records import Ownership, Records, StartedWith

MISSING = "home-missing"
_IN_HOME = re.compile(rb"%h|~/|\$\{?HOME")
_PLAIN = re.compile(r"[/.%]|$")
"""How a mount source begins if it is not a named volume."""


def is_gone(states: Mapping[str, NamedState]) -> bool:
    """Return whether the home was read and does not exist."""
    state = states.get(HOME)
    return state is not None and state.kind is None and not state.problem


def is_another(states: Mapping[str, NamedState], base: StartedWith | None) -> bool:
    """Return whether the home is a different folder from the one that a unit was started on."""
    state, before = states.get(HOME), base.files.get(HOME, "") if base is not None else ""
    return state is not None and bool(before and state.digest) and before != state.digest


def lost(workload: Workload, account: Account, records: Records) -> str:
    """Return what was in a missing home that eventd cannot recreate, as a noun phrase; empty if nothing.

    Possible data counts too: a companion unit may write to the home without declaring it, and an image of a stack may
    have volumes of its own.
    """
    record = records.workloads.get(workload.name)
    if record is None or record.uid != account.uid or record.ownership is not Ownership.CREATED:
        return "everything that the adopted account held,"
    if workload.stores:
        return f"podman's volume {workload.stores[0].name}"
    for file in workload.files:
        if file.origin != ORIGIN and (what := next(_borne(file, account.home), "")):
            return what
    return ""


def trouble(name: str, account: Account, what: str) -> tuple[str, str]:
    """Return message and hint for a missing home that held data."""
    return (
        f"the home {account.home} is missing, and with it {what} of {name}",
        f"restore it from a backup; or start empty: install -d -m 0700 -o {name} -g {name} {account.home} "
        "&& eventctl sync",
    )


def _borne(file: InstallFile, home: str) -> Iterator[str]:
    where = f"the data of {file.origin}"
    if file.role is FileRole.STACK:
        yield "the volumes of its stack"
    if file.role is FileRole.DATA:
        return
    extension = file.name.rpartition(".")[2]
    if _IN_HOME.search(file.content) or home.encode() in file.content or extension == "kube":
        yield where
    if file.role is FileRole.COMPANION:
        if extension in ("service", "conf"):
            yield where
        return
    unit = parse(file.content, file.origin)
    for section in unit.sections:
        for key in ("Secret", "PodmanArgs", "GlobalArgs", "AuthFile"):
            for line in unit.values(section, key):
                yield f"podman's secret {line.value.partition(',')[0]}" if key == "Secret" else where
        for line in unit.values(section, "Volume"):
            source, colon, _ = line.value.partition(":")
            if colon and not _PLAIN.match(source):
                yield f"podman's volume {source}"
        for line in unit.values(section, "Mount"):
            if "type=volume" in line.value.replace(" ", "") or "type=" not in line.value:
                yield where
