"""Disks to plug into a test host: ext4 images on loop devices, with a UUID that the test chooses.

Attaching one is done by the outer machine, as a hand with a cable would: the host gets the kernel's uevent
(`change`; a loop device's node is there all the time), its udevd reads the UUID and makes the link in
`/dev/disk/by-uuid/`. A loop device of another host is in this one's `/sys`, but has no node in its `/dev`.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from tests.host import outer
from tests.host.machine import HostError, Machine


@dataclass(frozen=True, slots=True)
class Disk:
    """An image and the UUID of the file system on it. It is removed with its host."""

    image: Path
    uuid: str

    @property
    def link(self) -> str:
        """Where udev shows it in the host."""
        return f"/dev/disk/by-uuid/{self.uuid}"


class Bay:
    """The loop devices of one host, and what is plugged into them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._plugged: dict[Path, Path] = {}

    def make(self, uuid: str, *, megabytes: int = 32, label: str = "", folder: Path | None = None) -> Disk:
        """Make an empty ext4 disk; `folder`: where its image is kept, if not with the host's other things."""
        image = (folder or self._machine.scratch) / f"{uuid}.img"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        outer.checked(["mkfs.ext4", "-q", "-F", "-U", uuid, "-L", label, image], timeout=30)
        return Disk(image, uuid)

    def plug(self, disk: Disk, *, at: int | None = None) -> Path:
        """Attach a disk to a free loop device of the host; returns the device. It does not wait for udev.

        at: the number of the loop device, the first being 0.
        """
        free = [device for device in self._machine.loops if device not in self._plugged.values()]
        if at is not None:
            free = [device for device in free if device == self._machine.loops[at]]
        if not free:
            raise HostError(
                f"no free loop device: this host has {len(self._machine.loops)} (Machine(loops=…))"
            )
        deadline = time.monotonic() + 120
        while True:
            try:
                outer.checked(["losetup", free[0], disk.image], timeout=30)
                break
            except outer.OuterError as error:
                # Pulled out while it was mounted: the kernel lets go of it when the last user has closed it.
                if "busy" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._plugged[disk.image] = free[0]
        return free[0]

    def pull(self, disk: Disk) -> None:
        """Pull out a disk that may be mounted: udev tells that the device is gone, as of one on a USB cable.

        The kernel keeps a mounted loop device until it is unmounted, so what is read and written until then works.
        """
        device = self._detach(disk)
        self._machine.write(f"/sys/class/block/{device.name}/uevent", "remove")

    def unplug(self, disk: Disk) -> None:
        """Detach a disk that is not mounted, and return when it is.

        The kernel keeps a loop device for as long as anybody has it open (loop(4)), as udevd has while it looks for a
        UUID: what it tells after that is still of a disk that is there.
        """
        bound = Path("/sys/class/block") / self._detach(disk).name / "loop"
        deadline = time.monotonic() + 120
        while bound.exists():
            if time.monotonic() > deadline:
                raise HostError(f"{bound.parent} is detached, and somebody has it open for minutes")
            time.sleep(0.01)

    def _detach(self, disk: Disk) -> Path:
        device = self._plugged.pop(disk.image)
        outer.checked(["losetup", "--detach", device], timeout=30)
        return device

    def copy(self, disk: Disk) -> Disk:
        """Make a copy of a disk, UUID and all."""
        image = disk.image.with_suffix(".copy.img")
        outer.checked(["cp", "--sparse=always", disk.image, image], timeout=30)
        return Disk(image, disk.uuid)
