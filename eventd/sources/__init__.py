"""Sources: each listens to one peer, and hands on events with the facts that changed. They decide nothing."""
