"""The user managers of workloads' accounts: connections to them, their units as facts, and why one cannot be used."""
