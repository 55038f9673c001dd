"""The model of a host: what systemd, logind, podman's generator and passwd do, without any of them.

Synchronous and single-threaded; time and timers come from a `Clock` (an event loop, virtual or not). It
tells what happens through `signals.Hub`, in the order in which the real programs would, and knows nothing
of eventd's ports or of D-Bus: the two faces do.
"""
