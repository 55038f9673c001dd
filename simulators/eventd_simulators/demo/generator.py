"""The simulated host's Quadlet generator as a program, for `--dryrun`: complaints on stderr, as podman's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from eventd_simulators.model.definition import parse
from eventd_simulators.model.quadlet import complaints, suffix_of


def main() -> int:
    """Read QUADLET_UNIT_DIRS; 1 if a file makes no unit (podman-systemd.unit(5))."""
    status = 0
    for path in sorted(Path(os.environ["QUADLET_UNIT_DIRS"]).iterdir()):
        if not suffix_of(path.name):
            continue
        for complaint in complaints(path.name, parse(path.read_text())):
            sys.stderr.write(f"quadlet-generator[{os.getpid()}]: {complaint}\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
