"""Overrides: what an operator or a failed change has in force instead of the repository, until it ends."""
