"""`python -m eventd.probe`: started by the daemon, as an unprivileged account."""

from eventd.probe.serve import main

main()
