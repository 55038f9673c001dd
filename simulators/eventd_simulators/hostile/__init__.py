"""Adversaries: what a hostile peer does to eventd, for use in tests and on test hosts.

One module per peer, standard library only, so that each also runs alone inside a test host
(`python -m eventd_simulators.hostile.http 127.0.0.1 8787`). An adversary counts what it did and what happened, and
judges nothing: the test does.
"""
