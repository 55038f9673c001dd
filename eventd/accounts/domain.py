"""The domain accounts: what it adds to eventd."""

from __future__ import annotations

from eventd.accounts.model_action_table import ACTIONS
from eventd.kernel.domain import Domain

DOMAIN = Domain(name="accounts", actions=ACTIONS)
