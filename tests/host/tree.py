"""The Debian 13 tree that every test host is an overlay on.

Owns which packages are in it and how it is customised. Built once with debootstrap, read-only afterwards,
keyed by a hash of both: change either and the next run builds a new one. `layers.py` puts eventd on top.

The mirror is the one that this machine's apt uses (or `EVENTD_HOST_MIRROR`).
"""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.host import outer

SUITE: Final = "trixie"

PACKAGES: Final = (
    # the host itself
    "systemd", "systemd-sysv", "systemd-container", "libpam-systemd", "dbus", "dbus-user-session", "udev",
    "polkitd", "passwd", "procps", "util-linux", "e2fsprogs", "iproute2", "sudo", "curl", "ca-certificates",
    # rootless podman, with both network back ends
    "podman", "crun", "uidmap", "slirp4netns", "passt", "fuse-overlayfs", "netavark", "aardvark-dns",
    "busybox-static", "nftables",  # netavark needs nft for any network of a workload's own
    # both providers of `podman compose`, and a registry to pull from
    "docker-compose", "podman-compose", "docker-registry",
    # what moves and guards data
    "rsync", "attr",
    # what eventd runs on
    "git", "openssh-client", "openssh-server", "python3", "python3-venv",
)  # fmt: skip

# Enabled by their packages, and noise here: a test host starts what a test asks for and nothing else.
_DISABLED: Final = (
    "ssh.service", "docker-registry.service", "e2scrub_reap.service", "machines.target", "getty@tty1.service",
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "netavark-dhcp-proxy.service", "netavark-dhcp-proxy.socket",
)  # fmt: skip
_MASKED: Final = (
    "console-getty.service", "systemd-firstboot.service",
    # Mounts that nothing here uses. After five changes of the mount table within a second, PID 1 looks at it
    # only when that second is over, and starts no mount unit until then: every boot is a second longer.
    "dev-hugepages.mount", "dev-mqueue.mount", "run-lock.mount", "sys-kernel-config.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount",
    "proc-sys-fs-binfmt_misc.automount", "var-lib-machines.mount",
    # A container has no modules to load.
    "modprobe@.service", "systemd-modules-load.service", "kmod-static-nodes.service",
)  # fmt: skip

# Each file of the customisation, and why.
_FILES: Final = {
    # Not every machine that runs these tests has the pids controller in the v2 hierarchy: crun would refuse.
    "etc/containers/containers.conf.d/50-test-host.conf": "[containers]\npids_limit=0\n",
    # New users see the shared images: no registry is needed, and no user copies them.
    "etc/skel/.config/containers/storage.conf": (
        '[storage]\ndriver = "overlay"\n'
        '[storage.options]\nadditionalimagestores = ["/usr/lib/containers/storage"]\n'
    ),
    # The outer machine's name server means nothing inside: lookups must fail at once, not after a timeout.
    "etc/resolv.conf": "# no network\n",
    # On the disk, so that a test sees the boots before a reboot, and the harness the journal of a dead host.
    "etc/systemd/journald.conf.d/50-test-host.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
}  # fmt: skip

# Two images of the same bytes and different identity, so that an update is one. There is only /bin in them:
# their files belong to the host's root, who is nobody in a rootless container's user namespace, so that the
# kernel cannot copy up a folder of theirs to write in it. What is not there (/etc, /tmp, mount points),
# podman makes, owned by the container's root.
_IMAGES: Final = r"""
mkdir -p /tmp/image/bin
cp /usr/bin/busybox /tmp/image/bin/busybox
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "/tmp/image/bin/$applet"
done
tar -C /tmp/image -cf /tmp/image.tar .
store() { podman --root /usr/lib/containers/storage --runroot /tmp/runroot --storage-driver overlay "$@"; }
for tag in 1 2; do
    store import --quiet --change 'CMD ["/bin/sh"]' --change ENV=PATH=/bin \
        --change "LABEL test.host.tag=$tag" /tmp/image.tar "localhost/busybox:$tag"
done
chmod -R a+rX /usr/lib/containers
rm -rf /tmp/image /tmp/image.tar /tmp/runroot /var/lib/containers/*
"""

_FINISH: Final = rf"""
systemctl disable {" ".join(_DISABLED)}
systemctl mask {" ".join(_MASKED)}
rm -f /etc/systemd/user/sockets.target.wants/*       # gpg-agent and friends for every user manager
journalctl --update-catalog                          # what the first boot after an update does
/usr/lib/systemd/systemd-update-done
rm -f /etc/machine-id /var/lib/dbus/machine-id       # each host gets its own
ln -s /etc/machine-id /var/lib/dbus/machine-id
install -d -m 2755 -g systemd-journal /var/log/journal
rm -rf /var/cache/apt/archives /var/lib/apt/lists/* /var/log/*.log /usr/share/doc/* /usr/share/locale/*
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial
"""


def key() -> str:
    """Return the key of the tree that this code builds."""
    files = (part for item in sorted(_FILES.items()) for part in item)
    return outer.digest([SUITE, *sorted(PACKAGES), *files, _IMAGES, _FINISH])


def ensure() -> Path:
    """Return the tree, built first when it is not in the cache (about 90 s). OuterError when that fails."""
    outer.ensure_programs()
    final = outer.cache_dir() / f"tree-{key()}"
    with outer.building(final) as folder:
        if folder:
            _build(folder)
    os.utime(final)
    outer.prune("tree", final, newest=2)
    return final


def _build(folder: Path) -> None:
    outer.checked(
        [
            "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            f"--cache-dir={_package_cache()}", SUITE, folder, mirror(),
        ],
        timeout=900,
    )  # fmt: skip
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    chroot([folder], _IMAGES, timeout=120)
    chroot([folder], _FINISH, timeout=60)


def _package_cache() -> Path:
    """Return where downloaded packages are kept, so that a changed list downloads only what is new."""
    path = outer.cache_dir() / "packages"
    path.mkdir(exist_ok=True)
    return path


def chroot(layers: list[Path], script: str, *, timeout: float, upper: Path | None = None) -> str:
    """Run a shell script in a tree: in place, or with what it changes kept in the folder `upper`.

    `layers` are lowest first. In a mount namespace of its own, so that nothing stays mounted whatever
    happens; the tree is a mount point in it because podman's image unpacking remounts `/`. The script is
    bash's, with `-euo pipefail`.
    """
    with contextlib.ExitStack() as stack:
        if upper is None:
            (target,) = layers
            mount = f"mount --bind {target} {target}"
        else:
            prefix = f".{upper.name.lstrip('.')}.work"  # beside it: it must be on the same file system
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=upper.parent)))
            target = scratch / "merged"
            for path in (scratch / "work", target):
                path.mkdir()
            lower = ":".join(str(path) for path in reversed(layers))
            options = f"lowerdir={lower},upperdir={upper},workdir={scratch}/work"
            mount = f"mount -t overlay tree -o {options} {target}"
        steps = f"""
            set -e
            {mount}
            mount -t proc proc {target}/proc
            mount -t sysfs sys {target}/sys
            mount -t cgroup2 cgroup {target}/sys/fs/cgroup
            exec chroot {target} /bin/bash -euo pipefail -s
        """
        return outer.checked(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", steps],
            timeout=timeout,
            stdin=script,
            env={"HOME": "/root"},
        )


def mirror() -> str:
    """Return the Debian mirror that this machine's apt uses: the first that is not the security one."""
    if chosen := os.environ.get("EVENTD_HOST_MIRROR"):
        return chosen
    for uri in _apt_uris(Path("/etc/apt")):
        if re.search(r"/debian/?$", uri) and not uri.startswith(("file:", "cdrom:")):
            return uri
    raise outer.OuterError("apt's sources name no Debian mirror: set EVENTD_HOST_MIRROR")


def _apt_uris(folder: Path) -> Iterator[str]:
    """Yield the URIs of apt's enabled sources, in both of its formats (sources.list(5))."""
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]:
        if path.exists():
            for line in path.read_text().splitlines():
                if found := re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)", line):
                    yield found[1]
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", path.read_text()):
            if re.search(r"(?mi)^Enabled:\s*no", paragraph):
                continue
            for found in re.finditer(r"(?mi)^URIs:\s*(.+)$", paragraph):
                yield from found[1].split()


if __name__ == "__main__":
    subprocess.run(["du", "-sh", str(ensure())], check=True)
