"""The audit: where the units that run come from, and what stands beside eventd's own."""
