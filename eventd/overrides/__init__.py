"""Overrides: states of a workload that differ from the repository: suspended, or rolled back."""
