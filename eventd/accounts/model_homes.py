"""The home of a workload's account: what it bears, and what is to be said and done when it is gone.

Pure. That a home is there, and which folder it is, is a NAMED fact like that of any file that a unit needs
(`eventd.files.model_named`): so a unit that runs on a home that was replaced is restarted. A home that eventd made, and
that bore nothing but what is made again (images, containers), is made again; what else it bore cannot be.
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
"""How the source of a mount begins that is no named volume."""


def is_gone(states: Mapping[str, NamedState]) -> bool:
    """Tell whether the home has been looked for, and nothing was there."""
    state = states.get(HOME)
    return state is not None and state.kind is None and not state.problem


def is_another(states: Mapping[str, NamedState], base: StartedWith | None) -> bool:
    """Tell whether the home is another folder than the one that a unit was started on."""
    state, before = states.get(HOME), base.files.get(HOME, "") if base is not None else ""
    return state is not None and bool(before and state.digest) and before != state.digest


def lost(workload: Workload, account: Account, records: Records) -> str:
    """Return what of a home that is gone nobody makes again, as the subject of a sentence; empty: nothing.

    What cannot be told from the files counts: a companion unit may write to its home without saying so, and an image
    of a stack may have volumes of its own.
    """
    record = records.workloads.get(workload.name)
    if record is None or record.uid != account.uid or record.ownership is not Ownership.CREATED:
        return "all that was in the account, which eventd was handed,"
    if workload.stores:
        return f"podman's volume {workload.stores[0].name}"
    for file in workload.files:
        if file.origin != ORIGIN and (what := next(_borne(file, account.home), "")):
            return what
    return ""


def trouble(name: str, account: Account, what: str) -> tuple[str, str]:
    """Return message and hint for a home that is gone with something that is not made again."""
    return (
        f"the home {account.home} is gone, and with it {what} that {name} had there",
        f"restore it from a backup; or start empty: install -d -m 0700 -o {name} -g {name} {account.home} "
        "&& eventctl sync",
    )


def _borne(file: InstallFile, home: str) -> Iterator[str]:
    where = f"what {file.origin} keeps in it"
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
