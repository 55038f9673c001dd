"""`python -m eventd.volume ORDER`."""

import sys

from eventd.volume.command import main

sys.exit(main())
