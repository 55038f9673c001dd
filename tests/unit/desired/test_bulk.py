"""Scope: bulk data is never in a podman volume, and with `strict` nothing is beside the volumes of storage.toml."""

from __future__ import annotations

import pytest

from eventd.desired.model import Desired
from tests.unit.desired.trees import container, desired

STORAGE = '[volume.media]\nuuid = "1111-2222"\npath = "/srv/media"\n'
BULK = '[storage]\nbulk = ["photos"]\n'
STACK = """\
services:
  app:
    image: x
    volumes:
      - photos:/data
volumes:
  photos:
"""


def made(files: dict[str, str], storage: str = STORAGE) -> Desired:
    """Assemble one workload beside a manifest."""
    return desired(
        {"storage.toml": storage, **{f"workloads/web/{name}": text for name, text in files.items()}}
    )


def refused(result: Desired) -> list[tuple[str, str, int]]:
    """Return code, file and line of what refuses the workload."""
    return [(each.code, each.file.rpartition("/")[2], each.line) for each in result.refused.get("web", ())]


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"web.container": container("Volume=photos:/data")}, ("web.container", 3)),
        (
            {"web.container": container("Volume=photos.volume:/data"), "photos.volume": "[Volume]\n"},
            ("web.container", 3),
        ),
        (
            {"web.container": container("Mount=type=volume,source=photos,target=/data")},
            ("web.container", 3),
        ),
        ({"compose.yaml": STACK}, ("compose.yaml", 5)),
    ],
    ids=["named", "quadlet", "mount", "compose"],
)
def test_what_is_declared_bulk_is_refused_as_a_podman_volume(
    files: dict[str, str], place: tuple[str, int]
) -> None:
    """A podman volume lies in the home, and a backup takes that as a whole: the hint names where it belongs."""
    result = made({**files, "workload.toml": BULK})
    assert refused(result) == [("bulk-volume", *place)]
    assert "/srv/media/web/photos" in result.refused["web"][0].hint
    assert "web" in made(files).workloads


def test_what_is_on_a_volume_is_no_podman_volume() -> None:
    """The way that the hint names is accepted, and is a use of the volume."""
    files = {"web.container": container("Volume=/srv/media/web/photos:/data"), "workload.toml": BULK}
    result = made(files)
    assert [use.volume for use in result.workloads["web"].volumes] == ["media"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Volume=/opt/data:/data", "bind-outside-storage"),
        ("Volume=/srv/media/web:/data\nVolume=cache:/cache", "named-volume-beside-bulk"),
    ],
)
def test_strict_refuses_what_is_warned_of_without_it(line: str, code: str) -> None:
    """One key at the top of storage.toml; the workload is refused with the finding's place."""
    files = {"web.container": container(line)}
    warned = made(files)
    assert [each.code for each in warned.diagnostics] == [code]
    assert "web" in warned.workloads
    strict = made(files, "strict = true\n" + STORAGE)
    assert [found[0] for found in refused(strict)] == [code]
