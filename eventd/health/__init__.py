"""Health: whether what was verified is still as it is expected to be, and what is done if it is not."""
