"""Gates: what a workload waits for before it starts."""
