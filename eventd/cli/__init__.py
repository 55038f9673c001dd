"""`eventctl`: the command line of the daemon. It also checks repositories without one.

`commands` declares the commands and `main` runs one. Each is a module of its own, imported only when it runs, so that
`--help`, completion and a typing mistake answer at once. The package decides nothing about the host: it shows what the
daemon answers (`eventd.client`), or what `eventd.desired` finds in a folder.
"""

from __future__ import annotations

from eventd.cli.entry import main

__all__ = ["main"]
