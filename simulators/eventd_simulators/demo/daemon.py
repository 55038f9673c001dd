"""eventd itself, over the accounts of the simulated host.

`python -m eventd_simulators.demo.daemon ROOT --config FILE`. Everything else about that host is in the
configuration: folders, and addresses of buses.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from eventd.composition import compose
from eventd.daemon import main
from eventd_simulators.wire import FileAccounts

if __name__ == "__main__":
    root = Path(sys.argv[1])
    sys.exit(
        main(sys.argv[2:], composed=partial(compose, accounts=FileAccounts(root), etc=str(root / "etc")))
    )
