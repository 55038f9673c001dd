"""The managers domain: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.managers.model_action_table import ACTIONS
from eventd.managers.model_actions import DisableLinger, EnableLinger, Reload, StartManager, StopManager
from eventd_handlers import managers

DOMAIN = Domain(
    name="managers",
    actions=ACTIONS,
    handlers={
        EnableLinger: managers.enable_linger,
        DisableLinger: managers.disable_linger,
        StartManager: managers.start,
        StopManager: managers.stop,
        Reload: managers.reload,
    },
)
