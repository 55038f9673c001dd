"""Gates: predicates over facts, who asks the world for those facts, and which workloads are held by them."""
