"""The kernel's values: facts, events, errors, reports, verdicts, the journal.

Pure: no loop, no I/O, no clock.
"""
