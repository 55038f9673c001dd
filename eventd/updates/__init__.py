"""Updates of images: pulled, compared, restarted, verified, or taken back."""
