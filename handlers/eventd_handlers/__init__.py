"""Handlers: how each kind of action is carried out. They call ports and decide nothing.

To add one: a function here, and the action's row and this handler in its domain's object (`eventd/<name>/domain.py`).
"""
