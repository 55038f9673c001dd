"""`python -m eventd.gates.probe`: started by the daemon, as an unprivileged account."""

from eventd.gates.probe.serve import main

main()
