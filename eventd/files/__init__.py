"""Files of the host: those that eventd installs, those that workloads name, and those that gates wait for."""
