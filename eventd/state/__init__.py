"""The state file: what is remembered across restarts, what becomes of a damaged one, and how it is made anew."""
