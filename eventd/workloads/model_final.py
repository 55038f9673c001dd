"""Failure reasons that are not retried by timer: only after a changed fact, a new content, or a request."""

from __future__ import annotations

from eventd.audit.model import Code

FINAL = frozenset({"start-limit-hit", "account-exists", "protected", *Code})
