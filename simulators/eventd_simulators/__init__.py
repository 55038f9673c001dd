"""A simulated host: one model of accounts, logind, systemd, Quadlet and a git remote, with two faces.

`virtual_time` is the clock, `model` the host, `inprocess` puts it behind the ports, `wire`
exports it on private dbus-daemons. The daemon never imports this package; tests, benchmarks and the demo do.
"""
