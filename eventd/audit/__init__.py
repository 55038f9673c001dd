"""The audit: where the units of a workload come from."""
