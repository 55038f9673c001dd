"""Adoption: an account that somebody made is handed over to eventd, and handed back."""
