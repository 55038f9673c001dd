"""The real host: a Debian 13 booted under systemd-nspawn, and the tests that run in it."""
