"""Processes: started, limited, read line by line, in transient units or as another user."""
