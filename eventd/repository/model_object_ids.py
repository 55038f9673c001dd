"""How a git object is named by its id (gitglossary(7)): the one spelling that everything here takes, in lower case.

Regular expressions without anchors. It imports nothing: `eventctl --help` has to answer at once.
"""

WHOLE = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
"""All of it: SHA-1 or SHA-256."""
ABBREVIATED = r"[0-9a-f]{7,64}"
"""Whole, or as much of it as git would print."""
