"""Files of the host: those that eventd installs, and those that workloads name or gates wait for."""
