"""What a workload's podman says is its user's, and may be anything: it is refused, and never a bug."""

from __future__ import annotations

import json

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account
from eventd.platform.processes.process import Completed
from eventd.updates.adapter_podman import PodmanImages

WEB = Account("web", 1001, 1001, "/home/web")
ID = "a" * 64


class Saying(PodmanImages):
    """A podman that says this."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said

    async def _podman(self, account: Account, *arguments: str, timeout: float = 30) -> Completed:
        del account, arguments, timeout
        return Completed("podman", 0, self.said.encode(), b"")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        json.dumps([{"Id": ID}, {"Id": ID}]),
        json.dumps([{"Id": f"--help {ID}"}]),
        json.dumps([{"Id": f"{ID}\n--root=/"}]),
    ],
)
async def test_an_answer_that_is_none_is_an_error_and_no_image(said: str) -> None:
    """No image, several, and an id that is more than an id."""
    with pytest.raises(PermanentError) as caught:
        await Saying(said).inspect(WEB, ["docker.io/library/x:1"])
    assert caught.value.reason == "podman-not-understood"


async def test_an_image_is_its_id() -> None:
    """With and without the algorithm before it."""
    for name in (ID, f"sha256:{ID}"):
        found = await Saying(json.dumps([{"Id": name}])).inspect(WEB, ["x"])
        assert found["x"].id == ID


@pytest.mark.parametrize(
    ("labels", "unit"),
    [
        ({"PODMAN_SYSTEMD_UNIT": "app.service"}, "app.service"),
        ({"com.docker.compose.project": "web"}, "web.service"),
        (
            {
                "com.docker.compose.project": "old",
                "com.docker.compose.project.working_dir": "/etc/eventd/stacks/1001",
            },
            "web.service",
        ),
        (
            {"com.docker.compose.project": "old", "com.docker.compose.project.working_dir": "/srv/old"},
            "old.service",
        ),
    ],
)
async def test_a_container_belongs_to_the_unit_that_applied_it(labels: dict[str, str], unit: str) -> None:
    """A stack whose project has a name of its own is told by the folder that it is applied from."""
    (found,) = await Saying(json.dumps([{"ImageID": ID, "Labels": labels}])).running(WEB)
    assert found.unit == unit
