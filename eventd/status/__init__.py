"""The status: documents, files and commands that say how the host and each workload stand, and why."""
