"""Containers of a workload: what podman says of them, damage to its store, and a person's way into them."""
