"""Workloads: observed, planned and changed; and what becomes of one that leaves or is renamed."""
