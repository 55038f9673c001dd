"""The prober: a process without privileges that asks the network what no event reports.

The daemon runs as root and opens no connection to the network. So it starts this (`python -m eventd.gates.probe`) as
an unprivileged account while a gate waits for a TCP, DNS or HTTP answer, and stops it when none does. Questions come
in on standard input, answers go out on standard output, one line each (`protocol`). The network's data is parsed here
(`asking`); the daemon gets one word out of ten and a number.

It does not import the daemon's adapters, sources or runtime.
"""
