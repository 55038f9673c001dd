"""A connection to a D-Bus bus: what of its bytes is believed, calls with deadlines, signals in their order."""
