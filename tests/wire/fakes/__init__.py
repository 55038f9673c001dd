"""Peers on a private bus that answer as a test scripts them, and record what they were asked."""
