"""Approvals: what is done only with an operator's signature."""
