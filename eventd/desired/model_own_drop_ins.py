"""The drop-ins that eventd adds to a workload: one per Quadlet file. The file itself is not changed.

Pure. Tested with the generator of podman 5.4.2, for each kind of file.
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
"""Creates rootless podman's pause process. Without one, podman runs in a forked child that sends READY=1 and exits,
and systemd ignores messages of a dead sender: the start fails with the result `protocol` (half of the first starts on
a busy host with podman 5.4.2 and systemd 257; none if the pause process exists)."""


def own_drop_ins(content: Content, *, gated: bool) -> Iterator[InstallFile]:
    """Yield eventd's drop-in for each Quadlet file.

    Without it, generated units of a user wait in podman-user-wait-network-online.service, which polls for up to 90 s;
    the daemon gets that target's state from a signal. A `DefaultDependencies=` in the file wins. With a gate, the unit
    is also removed from default.target: a lingering manager reaches that at boot, before the daemon knows whether the
    gate holds. (An empty assignment resets; 5.4.2 has no UpheldBy=, newer versions may.) The start of a container with
    a health check waits for the check to pass, unless the file sets `Notify=` (docs/adr/0015).
    """
    for part, unit in content.units(FileRole.QUADLET):
        lines: list[str] = ["# A user's first podman after a boot must not be one that notifies systemd."]
        lines += ["[Unit]", f"Wants={PAUSE_UNIT}", f"After={PAUSE_UNIT}"]
        if not unit.has("Quadlet", "DefaultDependencies"):
            lines += [
                "# The daemon knows whether the network is up.",
                "[Quadlet]",
                "DefaultDependencies=false",
            ]
        if gated:
            lines += [
                "# The daemon starts this unit once the requirements of its workload hold.",
                "[Install]",
            ]
            lines += ["WantedBy=", "RequiredBy=", "UpheldBy="]
        if part.name.endswith(".container"):
            lines += _waiting_for_health(unit)
        text = "\n".join(["# Added by eventd.", *lines, ""])
        yield InstallFile(FileRole.QUADLET, f"{part.name}.d/{OWN_DROP_IN}", text.encode(), ORIGIN)


def _waiting_for_health(unit: UnitFile) -> Iterator[str]:
    check = health_check(unit)
    if check is None or not waits_by_default(unit):
        return
    yield "# The start ends when the health check passes; Notify=false in the file ends it earlier."
    yield f"[{SECTION}]"
    yield "Notify=healthy"
    if check.start_timeout > START_TIMEOUT and not unit.has("Service", "TimeoutStartSec"):
        yield "# Long enough for the start period and one interval."
        yield "[Service]"
        yield f"TimeoutStartSec={check.start_timeout:g}"
