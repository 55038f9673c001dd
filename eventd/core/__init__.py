"""The pure core: facts, predicates, desired state, plan. No event loop, no I/O, no clock, no logging."""
