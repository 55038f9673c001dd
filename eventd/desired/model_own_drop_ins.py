"""What eventd adds to a workload's files: one drop-in per Quadlet file, and no change to the file itself.

Pure. Tried on the generator of podman 5.4.2, for each kind of file.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventd.desired.model import FileRole, InstallFile
from eventd.desired.model_content import OWN_DROP_IN, Content
from eventd.health.model_checks import SECTION, START_TIMEOUT, health_check, waits_by_default
from eventd.unitfiles.model import UnitFile

ORIGIN = "eventd"
"""`InstallFile.origin` of what eventd adds."""
PAUSE_UNIT = "eventd-podman-pause.service"
"""Makes rootless podman's pause process. Where there is none yet, podman works in a forked child that sends READY=1
and exits, and systemd ignores what a dead sender said: the start then ends with the result `protocol` (half of the
first starts on a busy host with podman 5.4.2 and systemd 257, none with the pause process made first)."""


def own_drop_ins(content: Content, *, gated: bool) -> Iterator[InstallFile]:
    """Yield eventd's drop-in for each Quadlet file.

    Without it, generated units of a user wait in podman-user-wait-network-online.service, which polls for
    up to 90 s; the daemon knows that target's state from a signal. A file that sets DefaultDependencies=
    itself has its way. With a gate, the unit is also taken out of default.target: a lingering manager reaches
    that at boot, before the daemon can know whether the gate holds. (An empty assignment resets; 5.4.2 knows
    no UpheldBy=, newer ones may.) A container with a health check has its start wait for that, unless its file has a
    `Notify=` of its own (docs/adr/0015).
    """
    for part, unit in content.units(FileRole.QUADLET):
        lines: list[str] = ["# The first podman of a user and boot must not be one that notifies systemd."]
        lines += ["[Unit]", f"Wants={PAUSE_UNIT}", f"After={PAUSE_UNIT}"]
        if not unit.has("Quadlet", "DefaultDependencies"):
            lines += [
                "# The daemon knows whether the network is up.",
                "[Quadlet]",
                "DefaultDependencies=false",
            ]
        if gated:
            lines += ["# The daemon starts this unit, once what its workload requires is there.", "[Install]"]
            lines += ["WantedBy=", "RequiredBy=", "UpheldBy="]
        if part.name.endswith(".container"):
            lines += _waiting_for_health(unit)
        text = "\n".join(["# Added by eventd.", *lines, ""])
        yield InstallFile(FileRole.QUADLET, f"{part.name}.d/{OWN_DROP_IN}", text.encode(), ORIGIN)


def _waiting_for_health(unit: UnitFile) -> Iterator[str]:
    check = health_check(unit)
    if check is None or not waits_by_default(unit):
        return
    yield "# It has started when its health check passes; Notify=false in the file ends the start earlier."
    yield f"[{SECTION}]"
    yield "Notify=healthy"
    if check.start_timeout > START_TIMEOUT and not unit.has("Service", "TimeoutStartSec"):
        yield "# The start period and one interval fit in."
        yield "[Service]"
        yield f"TimeoutStartSec={check.start_timeout:g}"
