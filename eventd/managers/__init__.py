"""Managers: the systemd managers of workloads' accounts, connected to, watched, and diagnosed."""
