"""`python -m eventd.cli`."""

from __future__ import annotations

import sys

from eventd.cli.main import main

sys.exit(main())
