"""Storage: the volumes of `storage.toml`, how each is, and how one is mounted, moved and put away."""
