"""Workloads: what a repository describes, kept in Linux accounts of their own."""
