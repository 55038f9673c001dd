"""Interfaces to the host that several domains use: processes, inotify, D-Bus, the journal, sd_notify. No decisions."""
