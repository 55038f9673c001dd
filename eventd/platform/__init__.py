"""Peers that more than one domain talks to: processes, inotify, descriptors, the journal, sd_notify. No decisions."""
