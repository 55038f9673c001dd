"""The syntax of unit files and of Quadlet: read without losing a byte, checked by the host's own generator."""
