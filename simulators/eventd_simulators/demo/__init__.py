"""`python -m eventd_simulators.demo`: the main job, shown on a simulated host, without root, in seconds.

Real are eventd, its webhook listener, eventctl, git and D-Bus; simulated are systemd, logind, podman and the
accounts (`eventd_simulators.wire`), and the forge (`forge`). Every step asserts what it shows.
"""
