"""Updates: newer images for what runs."""
