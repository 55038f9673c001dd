"""The story of a boot: when each fact came, what each workload waited for, and the critical path."""
