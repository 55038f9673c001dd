"""`python -m eventd.cli`."""

from __future__ import annotations

import sys

from eventd.cli.entry import main

sys.exit(main())
