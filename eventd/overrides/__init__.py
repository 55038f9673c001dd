"""Overrides: what a workload is to be other than the repository says: suspended, or rolled back."""
