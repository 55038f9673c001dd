"""the peers of more than one domain."""
