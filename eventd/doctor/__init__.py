"""`eventctl doctor`: checks that a host has what eventd needs, from outside and by the daemon."""
