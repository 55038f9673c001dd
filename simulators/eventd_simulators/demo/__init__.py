"""`python -m eventd_simulators.demo`: the main job, shown on a simulated host, without root, in seconds.

eventd, its webhook listener, eventctl, git and D-Bus are real; systemd, logind, podman and the
accounts (`eventd_simulators.wire`) and the forge (`forge`) are simulated. Every step asserts what it shows.
"""
