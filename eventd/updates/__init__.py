"""Updates of images: pull, compare, restart only what changed, verify; or go back."""
