"""Mounts and block devices: the MOUNT and DEVICE facts, and transient mount units."""
