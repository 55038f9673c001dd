"""The timer that updates a workload's images: a companion unit added by eventd, in the workload's own manager.

A calendar is the one place where time is the event. The timer's service sends a request to the daemon as the workload's
user, who may update its own images; the daemon does the work, in a run. Pure; next: `eventd.desired.model_units`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from eventd.desired.model import FileRole, InstallFile, WorkloadOptions
from eventd.desired.model_content import Content, Part
from eventd.desired.model_own_drop_ins import ORIGIN
from eventd.desired.model_survey import error
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.unitfiles.model import parse

if TYPE_CHECKING:
    from eventd.desired.model_assembly import HostRules

STEM = "eventd-update"
TIMER = """\
# Added by eventd: [update] schedule.
[Unit]
Description=When the images of {name} are updated

[Timer]
OnCalendar={schedule}
RandomizedDelaySec={spread}
# What was due while the host was off is made up for.
Persistent=true

[Install]
WantedBy=timers.target
"""
SERVICE = """\
# Added by eventd: started by eventd-update.timer.
[Unit]
Description=Update of the images of {name}

[Service]
Type=oneshot
# After a boot this may be due before the daemon is up.
ExecStart=/usr/bin/eventctl update {name} --wait --timeout 3600 --when-up 600
TimeoutStartSec=2h
"""


def with_timer(
    content: Content, options: WorkloadOptions, host: HostRules
) -> tuple[Content, list[Diagnostic]]:
    """Return the content with its timer and service, if it has an update schedule."""
    containers = content.stack or any(name.endswith(".container") for name in content.parts)
    if not options.update_schedule or options.update_hold or not containers:
        return content, []
    found = [
        error(
            part.install.origin,
            "reserved-file",
            f"{part.name} is a unit that eventd writes itself",
            "rename it",
        )
        for part in content.parts.values()
        if part.name in (f"{STEM}.timer", f"{STEM}.service")
    ]
    if found:
        return content, found
    made = {part.name: part for part in _parts(content, options.update_schedule, host)}
    return replace(content, parts=dict(sorted({**content.parts, **made}.items()))), []


def _parts(content: Content, schedule: str, host: HostRules) -> Iterator[Part]:
    for extension, text in (("timer", TIMER), ("service", SERVICE)):
        filled = text.format(name=content.name, schedule=schedule, spread=host.update_spread).encode()
        install = InstallFile(FileRole.COMPANION, f"{STEM}.{extension}", filled, ORIGIN)
        yield Part(install, parse(filled, content.origin), made=True)
