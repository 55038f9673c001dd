"""Adoption: an existing account is handed over to eventd, and handed back."""
