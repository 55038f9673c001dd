"""A connection to a D-Bus bus: validated messages, calls with deadlines, signals in order."""
