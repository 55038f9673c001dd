"""The spelling of git object ids (gitglossary(7)) that eventd accepts: lower-case hex.

Regular expressions without anchors. It imports nothing, so that `eventctl --help` is fast.
"""

WHOLE = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
"""A full id: SHA-1 or SHA-256."""
ABBREVIATED = r"[0-9a-f]{7,64}"
"""A full id, or an abbreviation as git prints it."""
