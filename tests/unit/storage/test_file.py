"""`storage.toml`: what it may say, and what is said of each mistake."""

from __future__ import annotations

import pytest

from eventd.desired.model import Tree, TreeFile
from eventd.storage.model_file import PLACES, parse_manifest, read_manifest
from eventd.storage.model_manifest import Backup, IdKind, Manifest, Wanted

GOOD = """\
[volume.media]
uuid = "11111111-2222-3333-4444-555555555555"
label = "The big one"
path = "/srv/media"
options = ["noatime"]
fstype = "xfs"
default = true
schedulable = false
backup = "exclude"

[volume.old]
by_id = "usb-Maker_Disk_0123-0:0-part1"
path = "/srv/old"
state = "decommissioned"
migrated_to = "media"

[volume.elsewhere]
partuuid = "aaaa-01"
path = "/srv/media"
hosts = ["beta"]
"""


def read(text: str, host: str = "alpha") -> Manifest:
    """Return the manifest of a text."""
    return parse_manifest(text.encode(), "storage.toml", host)[0]


def test_every_field_of_a_volume_is_read() -> None:
    """And those for other hosts are known by name only."""
    manifest = read(GOOD)
    assert not manifest.broken
    media, old = manifest.volumes["media"], manifest.volumes["old"]
    assert (media.id_kind, media.id) == (IdKind.UUID, "11111111-2222-3333-4444-555555555555")
    assert (media.label, media.path, media.fstypes) == ("The big one", "/srv/media", ("xfs",))
    assert (media.default, media.schedulable, media.backup) == (True, False, Backup.EXCLUDE)
    assert media.mount_options == ("nosuid", "nodev", "noatime", "nofail")
    assert (old.link, old.state) == ("/dev/disk/by-id/usb-Maker_Disk_0123-0:0-part1", Wanted.DECOMMISSIONED)
    assert old.migrated_to == "media"
    assert manifest.elsewhere == {"elsewhere"}
    assert manifest.default is media
    assert read(GOOD, "beta").broken, "there it has the path of another"


def test_a_path_belongs_to_the_volume_that_it_is_below() -> None:
    """And not to one whose path it only begins like."""
    manifest = read(GOOD)
    assert manifest.at("/srv/media/app/x") is manifest.volumes["media"]
    assert manifest.at("/srv/media") is manifest.volumes["media"]
    assert manifest.at("/srv/media2") is None


MINIMAL = '[volume.media]\nuuid = "1111-2222"\npath = "/srv/media"\n'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[volume.media]\npath = '/srv/m'\n", 1, "a durable id"),
        (MINIMAL + "partuuid = '1111-01'\n", 1, "exactly one durable id"),
        ('[volume.media]\nuuid = "/dev/sda1"\npath = "/srv/m"\n', 2, "is not a valid uuid"),
        ('[volume.media]\nuuid = "1111-2222"\n', 1, "needs a path"),
        (MINIMAL.replace("/srv/media", "srv/media"), 3, "is not a valid mount point"),
        (MINIMAL.replace("/srv/media", "/srv/../etc"), 3, "is not a valid mount point"),
        (MINIMAL.replace("/srv/media", "/media"), 3, "two or more parts"),
        (MINIMAL.replace("/srv/media", "/etc/media"), 3, "is outside of the folders"),
        (MINIMAL.replace("/srv/media", "/home/app"), 3, "is outside of the folders"),
        (MINIMAL + 'options = ["suid"]\n', 4, "cannot be a mount option"),
        (MINIMAL.replace("/srv/media", "/var/spool/cron"), 3, "is outside of the folders"),
        (MINIMAL.replace("/srv/media", "/var/lib/eventd-git"), 3, "is outside of the folders"),
        (MINIMAL.replace("/srv/media", "/var/lib/private"), 3, "is outside of the folders"),
        (MINIMAL.replace("/srv/media", "/srvother/media"), 3, "is outside of the folders"),
        (MINIMAL + 'options = ["errors=panic"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'options = ["subvol=x"]\nfstype = ["ext4"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'options = ["subvol=../x"]\nfstype = ["btrfs"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'options = ["notime"]\n', 4, "did you mean noatime?"),
        (MINIMAL + 'options = ["X-mount.mode=0777"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'options = ["x-systemd.requires=debug-shell.service"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'options = ["loop"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'options = ["noatime,dev"]\n', 4, "cannot be a mount option"),
        (MINIMAL + 'bakcup = "include"\n', 4, "did you mean backup?"),
        (MINIMAL + 'backup = "inclde"\n', 4, "did you mean include?"),
        (MINIMAL + 'state = "gone"\n', 4, "cannot be 'gone'"),
        (MINIMAL + "default = 1\n", 4, "true or false"),
        (MINIMAL + 'migrated_to = "media"\n', 4, "no other volume media"),
        (MINIMAL + 'default = true\nstate = "decommissioned"\n', 4, "cannot be the default"),
        ('[volume."a b"]\nuuid = "1111-2222"\npath = "/srv/m"\n', 1, "is not a valid volume name"),
        (MINIMAL + MINIMAL.replace("media]", "two]"), 6, "the path of media"),
        (MINIMAL + '[volume.nested]\nuuid = "3333"\npath = "/srv/media/in"\n', 6, "or in it"),
        (MINIMAL + MINIMAL.replace("media", "two"), 5, "has the same id"),
        (
            MINIMAL + "default = true\n" + '[volume.two]\nuuid = "3333"\npath = "/srv/two"\ndefault = true\n',
            8,
            "can be only one",
        ),
        ("[volume.media\n", 1, "not TOML"),
    ],
)
def test_a_mistake_breaks_the_manifest_at_its_place(text: str, line: int, says: str) -> None:
    """Every one has a line, and the nearest right word where there is one."""
    broken = read(text).broken
    assert broken, text
    assert any(says in str(each) and each.line == line for each in broken), [str(each) for each in broken]


def test_a_symlink_in_place_of_the_file_is_no_empty_manifest() -> None:
    """What cannot be read says nothing, so nothing may be let go of because of it."""
    manifest, found = read_manifest(Tree("c", {}, {"storage.toml": "symlink"}), "alpha")
    assert manifest.broken == found
    assert manifest.present


def test_a_repository_without_the_file_has_no_volumes_and_no_findings() -> None:
    """Storage is for who wants it."""
    manifest, found = read_manifest(Tree("c", {"README.md": TreeFile("README.md", b"")}), "alpha")
    assert (manifest.volumes, manifest.present, found) == ({}, False, ())


def test_the_host_says_where_else_volumes_may_be() -> None:
    """By its own configuration, never by the repository; the folder itself is no mount point."""
    text = MINIMAL.replace("/srv/media", "/data/media")
    assert read(text).broken
    places = (*PLACES, "/data")
    assert not parse_manifest(text.encode(), "storage.toml", "alpha", places)[0].broken
    assert parse_manifest(text.replace("/data/media", "/database/x").encode(), "s", "alpha", places)[0].broken


@pytest.mark.parametrize(
    ("fstype", "options"),
    [
        ("ext4", ["noatime", "errors=remount-ro", "commit=30", "data=ordered", "discard", "barrier=0", "ro"]),
        ("xfs", ["noatime", "logbsize=256k", "allocsize=64m", "pquota"]),
        (
            "btrfs",
            ["compress=zstd:3", "compress", "subvol=@media/data", "subvolid=256", "space_cache=v2", "ssd"],
        ),
        ("vfat", ["uid=1000", "umask=022", "utf8", "iocharset=utf8"]),
    ],
)
def test_the_usual_options_of_a_file_system_may_be_set(fstype: str, options: list[str]) -> None:
    """Those of its manual page that change no owner's rights, run nothing, and do not stop the host."""
    text = MINIMAL + f"fstype = {[fstype]}\noptions = {options}\n".replace("'", '"')
    manifest = read(text)
    assert not manifest.broken, manifest.broken
    assert manifest.volumes["media"].options == tuple(options)
