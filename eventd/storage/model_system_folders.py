"""Folders of the system. No volume is mounted in them (hier(7))."""

from __future__ import annotations

SYSTEM_FOLDERS = (
    *(
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/proc",
        "/root",
        "/run",
    ),
    *("/sbin", "/sys", "/tmp", "/usr"),  # noqa: S108  names, not files
)
