"""Overrides: what an operator says against the repository: suspend, roll back."""
