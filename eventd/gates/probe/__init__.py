"""The prober: a process without any rights that asks the network what nothing else can tell.

The daemon is root and opens no connection to the network. So it starts this (`python -m eventd.gates.probe`) as an
unprivileged account while a gate waits for a TCP, DNS or HTTP answer, and ends it when none does. Questions
come in on standard input, answers go out on standard output, one line each (`protocol`). What the network
says is understood in here (`asking`), and what the daemon gets of it is one word out of ten and a number.

It imports nothing of the daemon's adapters, sources or runtime.
"""
