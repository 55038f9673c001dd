"""Storage: volumes, their disks, and who uses them."""
