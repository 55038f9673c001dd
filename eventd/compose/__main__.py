"""`python -m eventd.compose` is `eventd-compose`."""

import sys

from eventd.compose import main

sys.exit(main())
