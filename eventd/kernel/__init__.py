"""The kernel: events, facts, runs and the plan-judge-apply loop. It knows roles, and no domain."""
