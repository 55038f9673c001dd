"""The record of a boot: when each fact was observed, what each workload waited for, and the critical path."""
