"""`python -m eventd.storage.volume ORDER`."""

import sys

from eventd.storage.volume.command import main

sys.exit(main())
