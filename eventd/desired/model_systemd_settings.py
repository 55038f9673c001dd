"""Checks the settings that systemd itself reads, in Quadlet files and companions. Pure.

systemd ignores a key that it does not know, and says so in its journal alone: the unit then runs without it. It refuses
a timer without a valid time. Both are warnings here, since a newer systemd may know more than this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.kernel.model.names import did_you_mean
from eventd.unitfiles.model_calendar import calendar_problem
from eventd.unitfiles.model_systemd_keys import SYSTEMD_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventd.kernel.model.diagnostics import Diagnostic
    from eventd.unitfiles.model import UnitFile

_OWN = ("X-", "+")
"""Keys that systemd skips without a word, and those of transforms."""


def systemd_settings(unit: UnitFile) -> Iterator[Diagnostic]:
    """Yield a warning for each key that systemd would ignore, and for each time that it would not understand."""
    for line in unit.entries():
        known = SYSTEMD_KEYS.get(line.section)
        if known is None or line.key.startswith(_OWN):
            continue
        if line.key not in known:
            message = f"systemd 257 has no {line.key}= in [{line.section}], and ignores it"
            yield line.warning("ignored-key", message, did_you_mean(line.key, known))
        elif line.key == "OnCalendar" and line.value and (problem := calendar_problem(line.value)):
            hint = 'write "Mon 04:00" or "daily"; `systemd-analyze calendar` checks an expression'
            yield line.warning("bad-value", problem, hint)
