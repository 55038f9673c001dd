"""The audit: where running units come from, and foreign files beside eventd's own."""
