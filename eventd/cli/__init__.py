"""`eventctl`: asks the daemon and tells it, and checks repositories without one.

`commands` declares them and `main` runs one; each is a module of its own that is imported only when it
runs, so that `--help`, completion and a typing mistake answer at once. The package must decide nothing
about the host: it shows what the daemon says (`eventd.client`), or what `eventd.desired` says of a folder.
"""

from __future__ import annotations

from eventd.cli.entry import main

__all__ = ["main"]
