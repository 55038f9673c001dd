"""Policies: what may be done. One per file, pure: a function from a `Case` to a `Verdict`.

To add one: a file here, its rules in `eventd.settings` if it has any, and its stage in the object of its domain
(`eventd/<name>/domain.py`).
"""
