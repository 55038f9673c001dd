"""Policies: what may be done. One per file, pure: a function from a `Case` to a `Verdict`.

To add one: a file here, its rules in `eventd.settings` if it has any, and a line in `eventd.daemon.policies`.
"""
