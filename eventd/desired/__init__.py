"""The desired state: a commit, read and checked, and the revision that is active."""
