"""The status of the host and of each workload: documents, files and commands."""
