"""The repository: which commit is wanted."""
