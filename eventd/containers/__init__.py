"""Containers of a workload: their state according to podman, damage to its store, and commands to get into them."""
