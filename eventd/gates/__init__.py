"""Gates: predicates over facts, the probes behind those facts, and which workloads a gate holds."""
