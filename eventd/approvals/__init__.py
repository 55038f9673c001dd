"""Approvals: destructive actions are held until an operator signs exactly that action."""
