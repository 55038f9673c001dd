"""Names of groups that have rights. No workload may have such a name.

An account's own group has the account's name. A program that is installed later and uses a group of that name (the
socket of dockerd, a rule of sudoers or polkit, a udev device) would give its rights to the workload. Pure data: each
row says what the group may do, and where that is documented.
"""

from __future__ import annotations

from collections.abc import Mapping

_ROOT = "is root by"
_DEVICES = "opens devices of udev's group (50-udev-default.rules)"

PRIVILEGED: Mapping[str, str] = {
    # Becoming root.
    "admin": f"{_ROOT} sudo and polkit (Ubuntu's sudoers and 40-debian-sudo rules)",
    "sudo": f"{_ROOT} sudo (Debian's sudoers)",
    "wheel": f"{_ROOT} sudo and polkit (Fedora's and Arch's sudoers, 50-default.rules)",
    "docker": f"{_ROOT} dockerd's socket (docs.docker.com, post-installation steps)",
    "podman": f"{_ROOT} a root podman socket that is given to a group of this name (podman-system-service(1))",
    "containerd": f"{_ROOT} containerd's socket, where its configuration names the group",
    "lxd": f"{_ROOT} LXD's socket (LXD, About security)",
    "lxc": f"{_ROOT} LXC's socket",
    "incus": "manages instances of Incus",
    "incus-admin": f"{_ROOT} Incus's socket (Incus, About security)",
    "libvirt": f"{_ROOT} libvirt's socket (libvirt, polkit access control)",
    "libvirt-qemu": "owns the disks of virtual machines (Debian's libvirt-daemon)",
    "qemu": "owns the disks of virtual machines (Fedora's qemu)",
    "microk8s": f"{_ROOT} the cluster's credentials (MicroK8s, Getting started)",
    "k3s": f"{_ROOT} the cluster's credentials, where they are given to a group",
    "nixbld": "builds what the Nix store has for everybody (nix.conf(5), build-users-group)",
    "mock": f"{_ROOT} mock(1)",
    "vboxusers": "uses the host's USB devices (VirtualBox manual)",
    "kmem": "reads the memory of the kernel (Debian's base-passwd)",
    "disk": f"{_ROOT} raw access to disks (Debian's base-passwd)",
    "shadow": "reads the hashes of passwords (Debian's base-passwd)",
    "staff": "writes /usr/local, which is in root's PATH (Debian's base-passwd)",
    "src": "writes /usr/src (Debian's base-passwd)",
    "tss": "uses the TPM (tpm2-tss)",
    # Reading what is not everybody's.
    "adm": "reads the system's logs (Debian's base-passwd, systemd-journald)",
    "systemd-journal": "reads everybody's journal (systemd-journald.service(8))",
    "utmp": "writes the records of logins (Debian's base-passwd)",
    "wireshark": "captures the network (Debian's wireshark-common)",
    "netdev": "changes the network (D-Bus policies of NetworkManager and wpa_supplicant)",
    "bluetooth": "uses bluetoothd (its D-Bus policy)",
    "lpadmin": "administers CUPS (cups-files.conf(5), SystemGroup)",
    "sambashare": "shares folders in Samba (Ubuntu's samba)",
    "plugdev": "mounts removable disks (Debian's base-passwd)",
    "crontab": "writes everybody's crontabs (Debian's cron)",
    "ssh": "is ssh-agent's own group (Debian's openssh-client before 9)",
    "_ssh": "is ssh-agent's own group (Debian's openssh-client)",
    "ssh_keys": "reads the host's ssh keys (Fedora's openssh-server)",
    "postdrop": "hands mail to postfix (postfix's set-gid programs)",
    "uucp": "opens serial lines on Arch and Fedora",
    # Devices.
    **dict.fromkeys(
        (
            *("tty", "dialout", "cdrom", "floppy", "tape", "audio", "video", "render", "input", "kvm", "sgx"),
            *("lp", "scanner", "i2c", "gpio", "spi"),
        ),
        _DEVICES,
    ),
}
"""Name -> what the group may do, as the end of "a group of this name …"."""
