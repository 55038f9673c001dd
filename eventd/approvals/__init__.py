"""Approvals: what is destructive waits until an operator has signed for exactly that."""
