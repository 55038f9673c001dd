"""The headline of a failure is its cause, as podman and its helpers say it on this host."""

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

STACK = "services:\n  app:\n    image: localhost/busybox:1\n    command: {command}\n"
HEALTH = (
    "HealthCmd=sh -c 'echo database is locked; exit 1'\nHealthInterval=1s\nHealthRetries=1\nNotify=healthy"
)
FILES = {
    "workloads/shop/http.container": container(more="PublishPort=8080:80"),
    "workloads/taken/taken.container": container(more="PublishPort=8080:80"),
    "workloads/secret/secret.container": container(more="Secret=dbpass"),
    "workloads/image/image.container": container(image="localhost/nothere:1"),
    "workloads/bind/bind.container": container(more="Volume=/root/deep:/data"),
    "workloads/words/words.container": container().replace(
        "trap", "echo cannot open /data/app.conf; exit 3; trap"
    ),
    "workloads/stack/compose.yaml": STACK.format(command="sh -c 'echo cannot reach db.internal; exit 7'"),
    "workloads/sick/sick.container": container(more=HEALTH),
    "workloads/sick/workload.toml": '[health]\ndeadline = "8s"\non_failure = "rollback"\n',
    "workloads/other/other.container": container(more="PublishPort=8090:80"),
}


@pytest.fixture(scope="module")
def status(machine: Machine) -> dict[str, dict[str, str]]:
    """Each workload's part of the status, on a host where all but one of them fail."""
    operator = Operator(machine)
    operator.install()
    machine.run(["systemd-run", "--unit=squatter", "python3", "-m", "http.server", "--bind", "::", "8090"])
    well = container(more=HEALTH.replace("exit 1", "exit 0"))
    first = {name: text for name, text in FILES.items() if "/shop/" in name or "/sick/" in name}
    operator.deploy({**first, "workloads/sick/sick.container": well})
    answer = operator.deploy(FILES)
    operator.ctl("sync", "--wait")
    return {name: workload(answer, name) for name in {path.split("/")[1] for path in FILES}}


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("taken", "port 8080 of this host is already in use by http.service of shop: "),
        ("other", "port 8090 of this host is already in use by squatter.service: "),
        ("secret", "this account has no secret dbpass: "),
        ("image", "image localhost/nothere:1 is not in this account's store: "),
        ("bind", "cannot mount /root/deep: the account may not access it: "),
    ],
)
def test_the_sentence_begins_with_the_cause(status: dict[str, dict[str, str]], name: str, cause: str) -> None:
    """What podman, crun or pasta said comes first, and systemd's own words after it."""
    assert status[name]["state"] == "failed"
    assert status[name]["message"].startswith(cause), json.dumps(status[name])
    assert f"{name}.service" in status[name]["message"]


def test_a_containers_last_words_are_in_the_sentence(status: dict[str, dict[str, str]]) -> None:
    """Of a Quadlet file's container and of one of a stack alike."""
    assert "its last line: cannot open /data/app.conf" in status["words"]["message"]
    assert "its last line: cannot reach db.internal" in status["stack"]["message"]


def test_what_the_health_check_printed_is_in_the_sentence(status: dict[str, dict[str, str]]) -> None:
    """A container that does not become healthy says why by its own check, also when it was rolled back for it."""
    assert status["sick"]["state"] == "rolled-back"
    assert "database is locked" in status["sick"]["message"]
