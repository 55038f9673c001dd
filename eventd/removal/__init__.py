"""Workloads that left the repository: what is cleared, what is kept, what moves to a new name, what is deleted."""
