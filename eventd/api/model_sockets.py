"""Where the daemon listens: a socket for each kind of caller, in one folder.

Pure. Everybody may connect to `api.socket` of the configuration. Operators and root have one each beside it, with a
queue that nobody else can fill. The daemon binds them, and `eventd.client` tries them in turn.
"""

from __future__ import annotations

DEFAULT = "/run/eventd/eventd.sock"
"""For everybody."""
ROOT = "root.sock"
"""For root, mode 0600."""
OPERATORS = "operators.sock"
"""For the group of `[api] group`, mode 0660."""


def beside(path: str, name: str) -> str:
    """Return the path of another socket in the folder of `path`."""
    return f"{path.rpartition('/')[0]}/{name}" if "/" in path else name
