"""Reasons of failures that no timer cures: only a changed fact, another content, or a request."""

from __future__ import annotations

from eventd.audit.model import Code

FINAL = frozenset({"start-limit-hit", "account-exists", "protected", *Code})
