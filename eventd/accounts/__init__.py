"""The Linux accounts of workloads: made, looked at, and deleted with their homes and ids."""
