"""Storage: the volumes of `storage.toml`: their states, and how they are mounted, migrated and ejected."""
