"""Running commands: with limits, read line by line, in transient units, or as another user."""
