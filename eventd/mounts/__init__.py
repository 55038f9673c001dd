"""Mounts and block devices: the MOUNT and DEVICE facts, and mount units made at run time."""
