"""A toy domain, in the place of a capability that is yet to come: a barrier that is kept closed while the sea is high.

All of it stands in this folder; what puts it into a daemon is its name in a list of domains.
"""
