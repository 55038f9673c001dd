"""`eventctl doctor`: what a host needs so that eventd can work, checked from outside and by the daemon."""
