"""`eventd-volume`: carries out one request about a mount point or a folder on a volume, as root, outside of the daemon.

Run by `eventd-volume@.service` only. It reads its request from a file that only root can write, and prints one line of
JSON if it fails. It imports nothing from eventd: it starts in milliseconds, and everything that it does with root's
rights is in this folder.
"""
