"""A connection to a D-Bus bus: checked messages, calls with deadlines, signals in order."""
