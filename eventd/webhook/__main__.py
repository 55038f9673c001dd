"""`python -m eventd.webhook` is `eventd-webhook`."""

from eventd.webhook import main

main()
