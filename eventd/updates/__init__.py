"""Updates of images: pull, compare, restart, verify, or roll back."""
