"""The Linux accounts of workloads: creating, watching and deleting them, with their homes and ids."""
