"""Scope: what podman, crun, pasta and docker-compose say becomes a sentence; what a workload says does not."""

# ruff: noqa: E501  lines are as they were captured

from __future__ import annotations

import json

import pytest

from eventd.containers.model_causes import cause_of, explained, last_words, own_port, taken_by
from eventd.desired.model import HostPort
from eventd.kernel.model.located import Located
from eventd.platform.model_log_line import LogLine, LogSource
from eventd.platform.unit_log import message

P, H, C = LogSource.PODMAN, LogSource.HELPER, LogSource.COMPOSE

CAPTURED: list[tuple[LogSource, str, str]] = [
    # who, line (podman 5.4.2, crun 1.21, pasta, docker-compose 2.26.1 on Debian 13), the sentence
    (P, 'Error: no secret with name or id "dbpass": no such secret', "this account has no secret dbpass"),
    (C, "provider: compose up: status 1: unsupported external secret dbpass", "docker-compose cannot use the podman secret dbpass"),
    (P, "Error: docker.io/library/nothere:1: image not known", "image docker.io/library/nothere:1 is not in this account's store"),
    (P, 'Error: initializing source docker://localhost/nothere:1: pinging container registry localhost: Get "https://localhost/v2/": dial tcp [::1]:443: connect: connection refused', "image localhost/nothere:1 is not in this account's store, and localhost is not a registry"),
    (P, "Error: initializing source docker://127.0.0.1:5000/none/app:1: reading manifest 1 in 127.0.0.1:5000/none/app: manifest unknown", "the registry has no image 127.0.0.1:5000/none/app with that tag"),
    (P, "Error: initializing source docker://127.0.0.1:5000/private/app:1: reading manifest 1 in 127.0.0.1:5000/private/app: unauthorized", "the registry requires a login for the image 127.0.0.1:5000/private/app:1"),
    (P, "Error: initializing source docker://127.0.0.1:5000/denied/app:1: reading manifest 1 in 127.0.0.1:5000/denied/app: denied", "the registry requires a login for the image 127.0.0.1:5000/denied/app:1"),
    (P, 'Error: initializing source docker://registry.invalid/team/app:1: pinging container registry registry.invalid: Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid on [::1]:53: read udp [::1]:57124->[::1]:53: read: connection refused', "the name of the registry registry.invalid cannot be resolved"),
    (C, 'provider: compose up: status 18: app Error {"message":"lookup registry.invalid on [::1]:53: read udp [::1]:46499-\\u003e[::1]:53: read: connection refused"}', "the name of the registry registry.invalid cannot be resolved"),
    (P, 'Error: initializing source docker://127.0.0.1:5999/team/app:1: pinging container registry 127.0.0.1:5999: Get "https://127.0.0.1:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused', "the registry 127.0.0.1:5999 cannot be reached"),
    (P, "Failed to bind port 8080 (Address already in use) for option '-t 8080-8080:80-80'", "port 8080 of this host is already in use"),
    (H, "Failed to bind port 8080 (Address already in use) for option '-t 8080-8080:80-80'", "port 8080 of this host is already in use"),
    (C, "provider: compose up: status 1: Error response from daemon: rootlessport listen tcp 0.0.0.0:8080: bind: address already in use", "port 8080 of this host is already in use"),
    (P, "Failed to bind port 80 (Permission denied) for option '-t 80-80:80-80'", "only root may use port 80 on this host"),
    (P, "Error: statfs /srv/nothere: no such file or directory", "cannot mount /srv/nothere: it does not exist"),
    (P, "Error: statfs /root/deep: permission denied", "cannot mount /root/deep: the account may not access it"),
    (C, "provider: compose up: status 1: Error response from daemon: make cli opts(): making volume mountpoint for volume /srv/nothere: mkdir /srv/nothere: permission denied", "cannot mount /srv/nothere: it does not exist, and the account cannot create it"),
    (P, "Error: stat /dev/nothere: no such file or directory", "there is no device /dev/nothere"),
    (P, 'Error: parsing file "/srv/nothere.env": open /srv/nothere.env: no such file or directory', "cannot read the file /srv/nothere.env: no such file or directory"),
    (P, "Error: crun: executable file `/bin/nothere` not found: No such file or directory: OCI runtime attempted to invoke a command that was not found", "the image has no program /bin/nothere"),
    (C, "provider: compose up: status 1: Error response from daemon: crun: executable file `/bin/nothere` not found: No such file or directory: OCI runtime attempted to invoke a command that was not found", "the image has no program /bin/nothere"),
    (P, "Error: crun: the path `/etc` is not a regular file: Operation not permitted: OCI permission denied", "/etc in the image is not a program"),
    (P, "Error: unable to find network with name or ID nothere: network not found", "this account has no network nothere"),
    (P, 'Error: creating container storage: the container name "a" is already in use by fb1ad76a2653c763f77dabf2294de49b6c95ae0a5ff20541e64ef24384698ecb. You have to remove that container to be able to reuse that name: that name is already in use, or use --replace to instruct Podman to do so.', "this account already has a container named a"),
    (P, "Error: unable to find user nosuchuser: no matching entries in passwd file", "the image has no user nosuchuser"),
    (P, "Error: creating container storage: error during chown: storage-chown-by-maps: lchown bin: operation not permitted: exit status 1", "the account has too few subordinate ids for the requested user namespace"),
    (P, 'Error: workdir "/etc/passwd" does not exist on container e654ae12dfec568603d057a70703eca53a5d7502f2f8d5f901eab33833184d38', "the image has no working directory /etc/passwd"),
    (P, "Error: OCI runtime error: crun: controller `cpu` is not available under /sys/fs/cgroup/user.slice/user-1002.slice/user@1002.service/app.slice/badcpu.service/libpod-payload-d54d/cgroup.controllers", "this host delegates no cpu control to accounts"),
    (P, "Error: crun: opening file `memory.max` for writing: No such file or directory: OCI runtime attempted to invoke a command that was not found", "this host delegates no memory control to accounts"),
    (P, "Error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied", "the limit NOFILE is higher than this host allows for accounts"),
    (P, 'Error: "CAP_NOPE": unknown capability', "there is no capability CAP_NOPE"),
    (P, "Error: sysctl 'kernel.nope' is not allowed", "the sysctl kernel.nope cannot be set for a container"),
    # No row: what podman calls its error is quoted.
    (P, "Error: running container create option: invalid log driver: invalid argument", "podman says: running container create option: invalid log driver: invalid argument"),
    (C, "unhealthy: slast-app-1 exited with status 7 (its last line: cannot reach database db.internal)", "slast-app-1 exited with status 7 (its last line: cannot reach database db.internal)"),
    (C, "unhealthy: a exited with status 1 (its last line: Failed to bind port 8080 (Address already in use))", "a exited with status 1 (its last line: Failed to bind port 8080 (Address already in use))"),
    (P, "Error: no pod with name or ID nopod found: no such pod", "podman says: no pod with name or ID nopod found: no such pod"),
]  # fmt: skip


@pytest.mark.parametrize(("by", "line", "sentence"), CAPTURED)
def test_a_line_of_podman_becomes_a_sentence(by: LogSource, line: str, sentence: str) -> None:
    """Each row of the table, by a line that the real program wrote."""
    found = cause_of([LogLine("Starting x.service...", LogSource.OTHER), LogLine(line, by)], "web")
    assert found is not None
    assert found.sentence == sentence
    assert "{" not in found.hint
    assert found.hint or sentence.startswith("podman says") or "its last line" in sentence


@pytest.mark.parametrize(("by", "line", "sentence"), CAPTURED)
def test_what_a_container_prints_is_no_cause(by: LogSource, line: str, sentence: str) -> None:
    """The same words out of the workload's own mouth are its last words, and nothing else."""
    del by, sentence
    said = [LogLine(line, LogSource.CONTAINER)]
    assert cause_of(said) is None
    message, _ = explained("web.service is down", "", said, "web")
    assert message.startswith("web.service is down; its last line: ")


def test_who_said_a_line_is_told_by_fields_that_journald_sets() -> None:
    """Podman speaks on the unit's standard output; a container's output comes by conmon under a name of its own."""

    def by(**fields: str) -> LogSource:
        return message(json.dumps({"MESSAGE": "Error: x", **fields}).encode()).source

    assert by(_COMM="podman", _TRANSPORT="stdout", SYSLOG_IDENTIFIER="web") is LogSource.PODMAN
    assert by(_COMM="conmon", _TRANSPORT="journal", SYSLOG_IDENTIFIER="systemd-web") is LogSource.CONTAINER
    assert by(_COMM="conmon", _TRANSPORT="journal", SYSLOG_IDENTIFIER="podman") is LogSource.CONTAINER
    assert by(_COMM="conmon", _TRANSPORT="syslog", SYSLOG_IDENTIFIER="conmon") is LogSource.HELPER
    assert by(_COMM="pasta.avx2", _TRANSPORT="syslog") is LogSource.HELPER
    assert by(_COMM="eventd-compose", _TRANSPORT="stdout") is LogSource.COMPOSE
    assert by(_COMM="sh", _TRANSPORT="stdout", SYSLOG_IDENTIFIER="podman") is LogSource.OTHER


def port(number: int, unit: str) -> tuple[HostPort, ...]:
    return (HostPort("", number, number, "tcp", unit, Located("", "x", 1)),)


TAKEN = [
    LogLine(
        "Failed to bind port 8080 (Address already in use) for option '-t 8080-8080:80-80'", LogSource.PODMAN
    )
]


def test_who_has_a_port_is_named() -> None:
    """The sentence begins with the cause, and what systemd says of it comes after."""
    uses = {"web": port(8080, "web.service"), "shop": port(8080, "shop-http.service")}
    assert own_port(TAKEN, "web", uses) == 8080
    owner = taken_by(8080, "web", uses)
    assert owner == ("shop-http.service", "shop")
    message, hint = explained("web.service did not start; it said: provider", "", TAKEN, "web", owner)
    assert (
        message
        == "port 8080 of this host is already in use by shop-http.service of shop: web.service did not start"
    )
    assert hint == "publish another port in web, or in shop"
    message, hint = explained("web.service did not start", "", TAKEN, "web", ("nginx.service", ""))
    assert message == "port 8080 of this host is already in use by nginx.service: web.service did not start"
    assert hint == "publish another port in web, or stop nginx.service"


def test_a_made_up_port_learns_nothing_of_other_workloads() -> None:
    """Only who publishes a port itself is told who else does."""
    uses = {"web": port(9090, "web.service"), "shop": port(8080, "shop-http.service")}
    assert own_port(TAKEN, "web", uses) == 0


def test_a_cause_of_an_earlier_run_of_the_unit_is_old() -> None:
    """What podman said before the unit ran again is not why it is down now."""
    before = LogLine("Error: docker.io/library/nothere:1: image not known", LogSource.PODMAN, "a")
    now = LogLine("cannot open config /data/app.conf", LogSource.CONTAINER, "b")
    assert cause_of([before, now]) is None
    assert last_words([before, now]) == "cannot open config /data/app.conf"
    assert cause_of([before, LogLine("web.service: Failed", LogSource.OTHER, "")]) is not None


def test_a_quotation_is_one_printable_line_and_short() -> None:
    """However long a line is, and whatever is in it."""
    words = last_words([LogLine("x" * 600 + "\x1b[2J", LogSource.CONTAINER)])
    assert len(words) == 200
    found = cause_of([LogLine(f"Error: statfs /{'y' * 490}\x1b: permission denied", LogSource.PODMAN)])
    assert found is not None
    assert len(found.sentence) < 300
    assert found.sentence.isprintable()
