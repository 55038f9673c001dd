"""The desired state: reading and checking a commit, and which revision is active."""
