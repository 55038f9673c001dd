"""Storage: volumes as subjects of the reconciler, and what is remembered of them."""
