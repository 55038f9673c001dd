"""Workloads: what a repository describes, each in a Linux account of its own."""
