"""`eventd-volume`: carries out one order about a mount point or a folder on a volume, as root, outside of the daemon.

Run by `eventd-volume@.service` alone. It reads its order from a file that only root can write, says nothing where all
went well, and one line of JSON where it did not. It imports nothing of eventd: it starts in milliseconds, and all that
it does with root's rights is in this folder.
"""
