"""The state file: what eventd remembers across restarts, and how a damaged or lost file is rebuilt."""
