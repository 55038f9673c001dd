"""Adversaries: what a hostile peer does to eventd, to be set loose in tests and on test hosts.

One module a peer, standard library only, so that each also runs alone inside a test host
(`python -m eventd_simulators.hostile.http 127.0.0.1 8787`). An adversary counts what it did and what came of it, and
judges nothing: that is the test's.
"""
