"""Which folders the sandbox of eventd.service makes writable, for homes outside /home.

Pure. `doctor` passes the output of `systemctl show`; the error of a failed useradd gives the same remedy.
"""

from __future__ import annotations

UNIT = "eventd.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/homes.conf"


def closed(folder: str, shown: str) -> bool:
    """Return whether the sandbox makes a folder read-only. `shown`: ProtectSystem= and ReadWritePaths=."""
    settings = dict(line.partition("=")[::2] for line in shown.splitlines())
    if settings.get("ProtectSystem") != "strict":
        return False
    paths = [path.lstrip("-+").rstrip("/") for path in settings.get("ReadWritePaths", "").split()]
    return not any(folder == path or folder.startswith(f"{path}/") for path in paths)


def writable(folder: str) -> str:
    """Return the commands that let the daemon create homes there."""
    return (
        f"mkdir -p {DROP_IN.rpartition('/')[0]} && printf '[Service]\\nReadWritePaths={folder}\\n' > {DROP_IN} "
        f"&& systemctl daemon-reload && systemctl restart {UNIT}; if the file system is read-only, remount it"
    )
