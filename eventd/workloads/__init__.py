"""Workloads: accounts, files, managers and units, from adoption to removal."""
