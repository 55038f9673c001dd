"""The syntax of unit files and Quadlet files: parsed without losing a byte, checked with the host's own generator."""
