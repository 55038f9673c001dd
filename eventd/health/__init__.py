"""Health: whether what a workload expects of itself holds, now and for the next start."""
