"""Which volumes a workload uses, and what is said of data in the wrong place."""

from __future__ import annotations

from eventd.desired.model import Desired
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.platform.model_facts import Account
from eventd.storage.model_backup_content import PlaceKind, places, total
from tests.unit.desired.trees import container, desired

STORAGE = """\
[volume.media]
uuid = "1111-2222"
path = "/srv/media"
default = true
[volume.scratch]
uuid = "3333-4444"
path = "/srv/scratch"
backup = "exclude"
[volume.far]
uuid = "5555-6666"
path = "/srv/far"
hosts = ["beta"]
"""


def made(files: dict[str, str], storage: str | None = STORAGE) -> Desired:
    """Assemble the workload `web` of these files, with a storage.toml."""
    tree: dict[str, str | bytes] = {f"workloads/web/{name}": text for name, text in files.items()}
    if storage is not None:
        tree["storage.toml"] = storage
    return desired(tree)


def codes(found: Desired) -> list[tuple[str, str, int]]:
    """Return code, file and line of all that is said of it."""
    everything: list[Diagnostic] = [
        *found.diagnostics,
        *(each for row in found.refused.values() for each in row),
    ]
    return [(each.code, each.file, each.line) for each in everything]


def test_a_bind_mount_below_a_volume_is_a_use_of_it() -> None:
    """Nobody has to write down that the workload waits for its disk, and its units do not start without it."""
    found = made(
        {"web.container": container("Volume=/srv/media/web/photos:/data", "Volume=/srv/scratch:/tmp")}
    )
    web = found.workloads["web"]
    assert [(use.volume, use.mount, use.paths) for use in web.volumes] == [
        ("media", "/srv/media", ("/srv/media/web/photos",)),
        ("scratch", "/srv/scratch", ("/srv/scratch",)),
    ]
    assert [each.text for each in web.options.requires] == ["volume:media", "volume:scratch"]
    drop_in = next(file for file in web.files if file.name == "web.container.d/50-eventd.conf")
    assert b"WantedBy=\n" in drop_in.content, "it is not started at boot before its volume is there"
    assert codes(found) == []


def test_mounts_in_the_long_form_and_of_pods_count_as_well() -> None:
    """`Mount=type=bind,source=…`, and `Volume=` of a .pod."""
    found = made(
        {
            "web.container": container("Mount=type=bind,src=/srv/media/web,dst=/data", "Pod=all.pod"),
            "all.pod": "[Pod]\nVolume=/srv/scratch/web:/scratch\n",
        }
    )
    assert [use.volume for use in found.workloads["web"].volumes] == ["media", "scratch"]


def test_a_volume_may_be_asked_for_by_name() -> None:
    """For what is in no Quadlet file: a script, a compose stack."""
    found = made({"web.container": container(), "workload.toml": '[storage]\nvolumes = ["media"]\n'})
    assert [use.folder("web") for use in found.workloads["web"].volumes] == ["/srv/media/web"]


def test_a_requirement_that_is_written_down_is_not_written_twice() -> None:
    """The implied wait is the same predicate."""
    files = {
        "web.container": container("Volume=/srv/media/web:/data"),
        "workload.toml": 'requires = ["volume:media", "mount:/srv/x"]\n',
    }
    assert [each.text for each in made(files).workloads["web"].options.requires] == [
        "volume:media",
        "mount:/srv/x",
    ]


def test_an_unknown_volume_is_refused_with_the_nearest_name() -> None:
    """At the line that says so."""
    found = made({"web.container": container(), "workload.toml": '[storage]\nvolumes = ["medai"]\n'})
    (finding,) = found.refused["web"]
    assert (finding.code, finding.line, finding.hint) == ("unknown-volume", 2, "did you mean media?")


def test_a_volume_of_another_host_is_refused_as_that() -> None:
    """It exists, elsewhere."""
    found = made({"web.container": container(), "workload.toml": '[storage]\nvolumes = ["far"]\n'})
    assert [each.code for each in found.refused["web"]] == ["volume-elsewhere"]


def test_bulk_data_beside_the_volumes_is_warned_of() -> None:
    """A path on no volume, and a podman volume on a workload that has a volume: with where it belongs."""
    found = made(
        {
            "web.container": container(
                "Volume=/srv/media/web:/data",
                "Volume=/opt/pictures:/pictures",
                "Volume=cache:/cache",
                "Volume=db.volume:/db",
            ),
            "db.volume": "[Volume]\n",
        }
    )
    assert [(each.code, each.line) for each in found.diagnostics] == [
        ("bind-outside-storage", 4),
        ("named-volume-beside-bulk", 5),
        ("named-volume-beside-bulk", 6),
    ]
    assert all(each.severity is Severity.WARNING for each in found.diagnostics)
    assert "/srv/media/web" in found.diagnostics[0].hint
    assert "web" in found.workloads


def test_new_bulk_data_belongs_on_the_default_volume() -> None:
    """The hint names that one, and not the first of the manifest."""
    other = STORAGE.replace("default = true\n", "").replace('backup = "exclude"', "default = true")
    for storage, place in ((STORAGE, "/srv/media/web"), (other, "/srv/scratch/web")):
        found = made({"web.container": container("Volume=/opt/pictures:/pictures")}, storage)
        assert [each.code for each in found.diagnostics] == ["bind-outside-storage"]
        assert place in found.diagnostics[0].hint


def test_what_no_volume_could_hold_is_not_warned_of() -> None:
    """Sockets, the time zone, the home, read-only data, files of the repository; podman volumes without a volume."""
    lines = (
        "Volume=/run/user/1000/podman/podman.sock:/sock",
        "Volume=/etc/localtime:/etc/localtime:ro",
        "Volume=/home/web/data:/data",
        "Volume=%h/more:/more",
        "Volume=/opt/fonts:/fonts:ro,z",
        "Mount=type=bind,source=/opt/icons,destination=/icons,readonly=true",
        "Mount=type=tmpfs,destination=/x",
        "Volume=./conf:/conf",
        "Volume=named:/named",
    )
    found = made({"web.container": container(*lines), "conf": "x"})
    assert codes(found) == []


def test_without_a_manifest_nothing_is_said_of_storage() -> None:
    """Repositories that do not use volumes are as they were."""
    found = made({"web.container": container("Volume=/opt/pictures:/pictures")}, storage=None)
    assert codes(found) == []
    assert found.workloads["web"].options.requires == ()


def test_a_broken_manifest_refuses_whom_it_could_concern_and_nobody_else() -> None:
    """Else a slip of the pen would turn a workload that waits for its disk into one that does not."""
    tree = {
        "storage.toml": STORAGE + "oops = 1\n",
        "workloads/web/web.container": container("Volume=/srv/media/web:/data"),
        "workloads/ask/ask.container": container(),
        "workloads/ask/workload.toml": '[storage]\nvolumes = ["media"]\n',
        "workloads/plain/plain.container": container("Volume=%h/x:/x"),
    }
    found = desired(tree)
    assert {name: [each.code for each in row] for name, row in found.refused.items()} == {
        "ask": ["storage-broken"],
        "web": ["storage-broken"],
    }
    assert list(found.workloads) == ["plain"]
    assert any(each.severity is Severity.ERROR and each.file == "storage.toml" for each in found.diagnostics)


def test_a_backup_takes_the_home_without_images_and_volumes_as_they_say() -> None:
    """Named volumes come along with the home; what is on an excluded volume is named and not taken."""
    found = made(
        {
            "web.container": container(
                "Volume=/srv/media/shared:/s", "Volume=/srv/scratch/web/x:/x", "Volume=n:/n"
            )
        }
    )
    account = Account("web", 1000, 1000, "/home/web")
    rows = places("web", found.workloads["web"], account, found.storage)
    assert [(row.kind, row.path, row.included) for row in rows] == [
        (PlaceKind.HOME, "/home/web", True),
        (PlaceKind.VOLUME, "/srv/media/web", True),
        (PlaceKind.VOLUME, "/srv/media/shared", True),
        (PlaceKind.VOLUME, "/srv/scratch/web", False),
    ]
    assert "/home/web/.local/share/containers/storage/overlay" in rows[0].left_out
    assert not any("volumes" in path for path in rows[0].left_out)
    assert total(rows, {"/home/web": 1, "/srv/media/web": 2}) is None, "one is not measured"
    assert (
        total(rows, {"/home/web": 1, "/srv/media/web": 2, "/srv/media/shared": 4, "/srv/scratch/web": 8}) == 7
    )


STACK = """\
services:
  web:
    image: localhost/web:1
    volumes:
      - /srv/media/web/data:/data
      - /etc/localtime:/etc/localtime:ro
      - cache:/cache
      - type: bind
        source: /opt/elsewhere
        target: /else
        read_only: true
      - /opt/bulk:/bulk
volumes:
  cache:
"""


def test_a_compose_stacks_binds_are_uses_of_volumes_and_its_data_in_the_wrong_place_is_told() -> None:
    """With the line of each mount; what is read only, or the system's own, is not its data."""
    found = made({"compose.yaml": STACK})
    (use,) = found.workloads["web"].volumes
    assert (use.volume, use.paths) == ("media", ("/srv/media/web/data",))
    said = [each for each in codes(found) if each[0] in ("bind-outside-storage", "named-volume-beside-bulk")]
    assert sorted(said) == [
        ("bind-outside-storage", "workloads/web/compose.yaml", 12),
        ("named-volume-beside-bulk", "workloads/web/compose.yaml", 7),
    ]


def test_a_stack_without_a_volume_may_have_named_volumes() -> None:
    """They are its home's, and a backup of the home is right to take them."""
    text = STACK.replace("/srv/media/web/data", "/home/web/data").replace("/opt/bulk", "/home/web/bulk")
    found = made({"compose.yaml": text})
    assert found.workloads["web"].volumes == ()
    assert "named-volume-beside-bulk" not in {code for code, _, _ in codes(found)}


def test_a_workload_on_a_volume_that_is_out_of_service_is_told() -> None:
    """It would wait for ever; one whose data was migrated goes on."""
    gone = 'path = "/srv/media"\nstate = "decommissioned"'
    storage = STORAGE.replace('path = "/srv/media"', gone).replace("default = true\n", "")
    files = {"web.container": "[Container]\nImage=localhost/web:1\nVolume=/srv/media/web:/data\n"}
    assert ("decommissioned-volume", "workloads/web/web.container", 3) in codes(made(files, storage))
    moved = storage.replace(gone, gone + '\nmigrated_to = "scratch"')
    assert "decommissioned-volume" not in {code for code, _, _ in codes(made(files, moved))}
