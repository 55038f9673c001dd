"""A compose stack as a supervised user service on a real host: what `systemctl --user restart` answers."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.host.machine import HostError, Machine

UNIT = """\
[Unit]
Description=Compose stack demo
Wants=podman.socket eventd-podman-pause.service
After=podman.socket eventd-podman-pause.service

[Service]
Type=notify-reload
NotifyAccess=main
ExecStart=/usr/bin/eventd-compose run --file {folder}/compose.yaml --project demo --unit %n {options}
TimeoutStartSec=150
TimeoutStopSec=100
KillMode=mixed
SyslogIdentifier=eventd-compose
{service}

[Install]
WantedBy=default.target
"""
RUNS = ["/bin/sh", "-c", "trap 'exit 0' TERM; touch /run/ok; while :; do sleep 1 & wait $$!; done"]
HEALTHY = {"test": ["CMD-SHELL", "test -e /run/ok"], "interval": "1s", "retries": 2}
SICK = HEALTHY | {"test": ["CMD", "false"]}
GOOD: dict[str, dict[str, Any]] = {"web": {"healthcheck": HEALTHY}, "plain": {}}


class Stack:
    """The stack `demo` of the user `wl`, and its unit."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.run("useradd --create-home wl && loginctl enable-linger wl")
        self.uid = machine.run(["id", "-u", "wl"]).stdout.strip()
        machine.run(["systemctl", "start", f"user@{self.uid}.service"])
        self.folder = f"/etc/eventd/compose/{self.uid}"
        self.env = f"{self.folder}/app.env"
        # Before any podman: its service reads this at its start, and lives as long as somebody asks it.
        machine.write(
            "/etc/containers/registries.conf.d/test.conf",
            '[[registry]]\nlocation = "localhost:5000"\ninsecure = true\n',
        )

    def has(self, services: dict[str, dict[str, Any]], options: str = "", service: str = "") -> None:
        """Write the compose file (JSON is YAML) and the unit."""
        common = {
            "image": "localhost/busybox:1",
            "pull_policy": "never",
            "command": RUNS,
            "stop_grace_period": "2s",
        }
        document = {"services": {name: common | one for name, one in services.items()}}
        self.machine.write(f"{self.folder}/compose.yaml", json.dumps(document))
        self.machine.write(self.env, "A=1\n")
        unit = UNIT.format(folder=self.folder, options=f"--needs-file {self.env} {options}", service=service)
        self.machine.write(f"/etc/eventd/units/{self.uid}/demo.service", unit)
        self.user("systemctl --user daemon-reload")

    def user(self, command: str, *, check: bool = True) -> str:
        """Run a command as the user; return what it printed."""
        return self.machine.run(f"cd / && {command}", user="wl", check=check, timeout=180).stdout.strip()

    def ctl(self, verb: str) -> int:
        """Run `systemctl --user VERB demo.service`; return its exit status."""
        done = self.machine.run(
            ["systemctl", "--user", verb, "demo.service"], user="wl", check=False, timeout=180
        )
        return done.returncode

    def show(self) -> dict[str, str]:
        """Return how the unit does."""
        return self.machine.show(
            "demo.service", "ActiveState", "Result", "ExecMainStatus", "StatusText", "MainPID", user="wl"
        )

    def failed(self) -> tuple[str, str]:
        """Return exit status and status text of a unit that has to be failed."""
        shown = self.show()
        assert shown["ActiveState"] == "failed", shown
        return shown["ExecMainStatus"], shown["StatusText"]

    def until(self, right: Callable[[], bool], what: str) -> None:
        """Wait, as a person would, until something is so; while the user's manager boots, nothing is."""
        deadline = time.monotonic() + 240
        while True:
            with contextlib.suppress(HostError):
                if right():
                    return
            assert time.monotonic() < deadline, f"not {what}: {self.show()}"
            time.sleep(0.1)

    def until_failed(self) -> tuple[str, str]:
        """Wait for the unit to fail."""
        self.until(lambda: self.show()["ActiveState"] == "failed", "failed")
        return self.failed()

    def containers(self) -> set[str]:
        """Return names and ids of what runs."""
        return set(self.user("podman ps --format '{{.Names}} {{.ID}}'").splitlines())

    def names(self) -> set[str]:
        """Return the names of what runs."""
        return {line.split()[0] for line in self.containers()}

    def log(self) -> str:
        """Return what the supervisor of the last start has logged."""
        invocation = self.user("systemctl --user show --value -p InvocationID demo.service")
        fields = [f"_SYSTEMD_INVOCATION_ID={invocation}", "SYSLOG_IDENTIFIER=eventd-compose"]
        self.machine.run(["journalctl", "--sync"])
        return self.machine.run(["journalctl", "--quiet", "--output=cat", *fields]).stdout


@pytest.fixture(scope="module")
def host(machine: Machine) -> Stack:
    """The user and the paths, once."""
    return Stack(machine)


@pytest.fixture
def stack(host: Stack) -> Iterator[Stack]:
    """A good stack that is down; whatever a test leaves is removed after it."""
    host.has(GOOD)
    yield host
    host.user("systemctl --user stop demo.service", check=False)

    def removed() -> bool:
        """Remove everything; fails where podman's own service, or a monitor, is at it too."""
        host.user(
            "podman rm --force --all --time 0; podman pod rm --force --all; podman network prune --force"
        )
        return host.user("podman ps --all --quiet; podman pod ls --quiet") == ""

    host.until(removed, "removed")
    host.user("systemctl --user reset-failed", check=False)


def test_a_good_stack_is_restarted_with_0(stack: Stack) -> None:
    """And all of it runs when systemctl returns, with its health known, of the images that `digests` names."""
    assert stack.ctl("restart") == 0
    before = stack.containers()
    assert stack.ctl("restart") == 0
    assert stack.names() == {"demo-web-1", "demo-plain-1"}
    assert not before & stack.containers()
    health = stack.user("podman inspect --format '{{.State.Health.Status}}' demo-web-1")
    assert health == "healthy"
    assert stack.show()["StatusText"] == "2 of 2 containers up"
    ask = f"eventd-compose digests --file {stack.folder}/compose.yaml --project demo"
    identity = stack.user("podman image inspect --format '{{.Id}}' localhost/busybox:1")
    assert json.loads(stack.user(ask))["services"]["web"]["running"] == [identity]


def test_an_unhealthy_container_fails_the_restart_and_is_removed_by_the_next(stack: Stack) -> None:
    """The restart itself (T03). Then (T09) the good one stays, the unhealthy one is made anew, and the log says so."""
    stack.has({"web": {"healthcheck": SICK}, "plain": {}})
    assert stack.ctl("restart") == 1
    assert stack.failed() == ("69", "unhealthy: demo-web-1 is unhealthy")
    assert "containers created by this start still run: demo-plain-1" in stack.log()
    before = stack.containers()
    assert {line.split()[0] for line in before} == {"demo-web-1", "demo-plain-1"}
    stack.has(GOOD)
    assert stack.ctl("start") == 0
    assert "removed before the start: demo-web-1 is unhealthy" in stack.log()
    assert {line.split()[0] for line in before & stack.containers()} == {"demo-plain-1"}


@pytest.mark.parametrize("provider", ["docker-compose", "podman-compose"])
def test_an_image_that_cannot_be_had_fails_the_restart(stack: Stack, provider: str) -> None:
    """The status is the provider's; podman-compose's own exit status would have been 0."""
    stack.has(GOOD | {"plain": {"image": "localhost/nothing:1"}}, f"--provider /usr/bin/{provider}")
    assert stack.ctl("restart") == 1
    status, text = stack.failed()
    assert status == "65"
    assert "plain" in text or "localhost/nothing:1" in text


@pytest.mark.parametrize("command", ["exit 3", "sleep 0.4; exit 3"], ids=["at once", "a moment later"])
def test_a_container_that_ends_fails_the_restart(stack: Stack, command: str) -> None:
    """Also when podman has called it running in between."""
    # It has ended well before it would count as up, however long the machine takes to let it sleep.
    stack.has(GOOD | {"plain": {"command": ["/bin/sh", "-c", command]}}, "--settle 10")
    assert stack.ctl("restart") == 1
    assert stack.failed() == ("69", "unhealthy: demo-plain-1 exited with status 3")


def test_a_container_that_is_restarted_over_and_over_is_not_up(stack: Stack) -> None:
    """Podman restarts it without a pause: the deadline ends that, and says how often."""
    stack.has(GOOD | {"plain": {"command": ["/bin/false"], "restart": "always"}}, "--deadline 30")
    assert stack.ctl("restart") == 1
    status, text = stack.failed()
    assert status == "75"
    assert "demo-plain-1" in text


def test_a_missing_env_file_is_named(stack: Stack) -> None:
    """T04: before anything starts; and one that the user cannot read."""
    stack.machine.run(["rm", stack.env])
    assert stack.ctl("restart") == 1
    wanted = f"env-file: cannot read {stack.env}: No such file or directory (nothing was started)"
    assert stack.failed() == ("78", wanted)
    stack.machine.write(stack.env, "A=1\n", mode=0o600)
    assert stack.ctl("restart") == 1
    assert "Permission denied" in stack.failed()[1]
    assert stack.user("podman ps --all --quiet") == ""
    stack.machine.run(["chmod", "644", stack.env])


def test_a_container_of_another_unit_is_refused_or_removed(stack: Stack) -> None:
    """T09: refused while that unit is active, removed when it is not."""
    labels = (
        "com.docker.compose.project=demo com.docker.compose.service=web PODMAN_SYSTEMD_UNIT=other.service"
    )
    options = " ".join(f"--label {label}" for label in labels.split())
    run = f"podman run --detach --stop-timeout 1 --name demo-web-1 {options} localhost/busybox:1"
    stack.user(f"{run} sleep 1000")
    stack.user("systemd-run --user --quiet --unit=other.service sleep 1000")
    before = stack.containers()
    assert stack.ctl("restart") == 1
    status, text = stack.failed()
    assert (status, "demo-web-1 belongs to other.service, which is active" in text) == ("76", True)
    assert stack.containers() == before
    stack.user("systemctl --user stop other.service")
    assert stack.ctl("restart") == 0
    assert "removed before the start: demo-web-1 belongs to other.service" in stack.log()
    assert not stack.containers() & before


def test_a_provider_that_hangs_stalls_nobody(stack: Stack) -> None:
    """It ends at its own deadline; another unit of the user starts meanwhile."""
    stack.machine.write("/usr/local/bin/hangs", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    stack.has(GOOD, "--provider /usr/local/bin/hangs --deadline 30")
    with stack.machine.start(["systemctl", "--user", "restart", "demo.service"], user="wl") as restart:
        stack.until(lambda: stack.show()["StatusText"] == "compose up", "at its provider")
        stack.user("systemd-run --user --quiet --wait true")
        assert stack.show()["ActiveState"] == "activating"
        assert restart.wait(120).returncode == 1
    assert stack.failed()[0] == "75"
    stack.until(lambda: stack.user("pgrep --exact sleep", check=False) == "", "without the provider")


def test_a_supervisor_that_hangs_is_ended_by_systemd(stack: Stack) -> None:
    """TimeoutStartSec= is for that."""
    stack.has({"web": {"healthcheck": SICK | {"interval": "100s"}}})
    unit = f"/etc/eventd/units/{stack.uid}/demo.service"
    shorter = "s/^TimeoutStartSec=.*/TimeoutStartSec=40/; s/^TimeoutStopSec=.*/TimeoutStopSec=1/"
    stack.machine.run(["sed", "-i", shorter, unit])
    stack.user("systemctl --user daemon-reload")
    with stack.machine.start(["systemctl", "--user", "restart", "demo.service"], user="wl") as restart:
        stack.until(lambda: "not healthy yet" in stack.show()["StatusText"], "waiting for its health")
        stack.machine.run(["kill", "-STOP", stack.show()["MainPID"]])
        assert restart.wait(120).returncode == 1
    assert stack.show()["Result"] == "timeout"


@pytest.mark.parametrize("provider", ["docker-compose", "podman-compose"])
def test_a_supervisor_that_is_killed_takes_no_container_with_it(stack: Stack, provider: str) -> None:
    """The next start finds them well, and leaves them alone."""
    stack.has(GOOD, f"--provider /usr/bin/{provider}")
    assert stack.ctl("restart") == 0
    before = stack.containers()
    stack.machine.run(["kill", "-KILL", stack.show()["MainPID"]])
    stack.until_failed()
    assert stack.show()["Result"] == "signal"
    assert stack.containers() == before
    assert stack.ctl("start") == 0
    assert stack.containers() == before


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        ("podman exec demo-web-1 rm /run/ok", "unhealthy: demo-web-1 is unhealthy"),
        ("podman kill demo-plain-1", "unhealthy: demo-plain-1 exited with status 137"),
        (
            # Two steps, an end and a removal, which it sees as one.
            "pid=$(systemctl --user show -P MainPID demo.service); kill -STOP $pid;"
            " podman rm --force --time 0 demo-plain-1; kill -CONT $pid",
            "unhealthy: plain has no container",
        ),
        (
            "kill -KILL $(podman inspect --format '{{.State.ConmonPid}}' demo-plain-1)",
            "unhealthy: demo-plain-1 has lost its monitor process",
        ),
    ],
    ids=["unhealthy", "killed", "removed", "monitor killed"],
)
def test_a_stack_that_ceases_to_be_up_fails_its_unit(stack: Stack, harm: str, text: str) -> None:
    """By events; and the next start makes good for it."""
    stack.has(GOOD)
    assert stack.ctl("restart") == 0
    stack.user(harm)
    assert stack.until_failed() == ("69", text)
    assert stack.ctl("start") == 0
    assert stack.names() == {"demo-web-1", "demo-plain-1"}


def test_health_is_followed_through_a_restart_of_the_journal(stack: Stack) -> None:
    """And through the death of the one that follows."""
    assert stack.ctl("restart") == 0
    stack.machine.run(["systemctl", "restart", "systemd-journald.service"])
    stack.until(lambda: stack.user("pgrep --exact journalctl", check=False) != "", "followed")
    stack.user("pkill -KILL --exact journalctl")
    stack.user("podman exec demo-web-1 rm /run/ok")
    assert stack.until_failed() == ("69", "unhealthy: demo-web-1 is unhealthy")


def test_restart_exits_1_at_once_though_systemd_tries_again(stack: Stack) -> None:
    """With Restart=on-failure; and the next attempt heals what can be healed."""
    stack.has({"web": {"healthcheck": SICK}}, service="Restart=on-failure\nRestartSec=2")
    assert stack.ctl("restart") == 1
    stack.has({"web": {"healthcheck": HEALTHY}}, service="Restart=on-failure\nRestartSec=2")
    stack.until(lambda: stack.show()["ActiveState"] == "active", "active")


def test_a_reload_changes_only_what_changed_and_is_verified(stack: Stack) -> None:
    """A bad one exits 1, and the older containers go on."""
    assert stack.ctl("restart") == 0
    before = stack.containers()
    stack.has(GOOD | {"more": {}})
    assert stack.ctl("reload") == 0
    assert stack.containers() > before
    before = stack.containers()
    stack.has(GOOD | {"more": {"image": "localhost/nothing:1"}})
    assert stack.ctl("reload") == 1
    assert stack.failed()[0] == "65"
    assert "older containers may still run" in stack.log()
    assert stack.containers() == before


def test_services_find_each_other_by_name(stack: Stack) -> None:
    """A network of the project's own, rootless, with its name server."""
    serve = "trap 'exit 0' TERM; httpd -f -p 8080 -h /bin & wait $$!"
    serves = HEALTHY | {"test": ["CMD-SHELL", "wget -qO /dev/null http://127.0.0.1:8080/ls"], "retries": 60}
    ask = {
        "command": ["/bin/sh", "-c", f"wget -qO /dev/null http://web:8080/ls && touch /run/ok && {RUNS[2]}"]
    }
    stack.has(
        {
            "web": {"command": ["/bin/sh", "-c", serve], "healthcheck": serves},
            "app": ask
            | {
                "healthcheck": HEALTHY | {"retries": 60},
                "depends_on": {"web": {"condition": "service_healthy"}},
            },
        }
    )
    assert stack.ctl("restart") == 0


def test_a_migration_may_end(stack: Stack) -> None:
    """What others wait for the end of counts as up when it has ended well."""
    waits = {"depends_on": {"migrate": {"condition": "service_completed_successfully"}}}
    stack.has({"migrate": {"command": ["/bin/true"]}, "app": waits})
    assert stack.ctl("restart") == 0
    assert stack.names() == {"demo-app-1"}
    check = json.loads(stack.user(f"eventd-compose check --file {stack.folder}/compose.yaml --project demo"))
    assert (check["up"], check["leftovers"]) == (True, [])


@pytest.mark.parametrize("provider", ["docker-compose", "podman-compose"])
def test_a_stop_leaves_nothing_behind(stack: Stack, provider: str) -> None:
    """No container, no pod, no network, no unit; volumes stay."""
    stack.has(GOOD, f"--provider /usr/bin/{provider}")
    assert stack.ctl("restart") == 0
    stack.user("podman volume create kept")
    assert stack.ctl("stop") == 0
    assert stack.show()["Result"] == "success"
    left = "podman ps --all --quiet; podman pod ls --quiet; podman network ls --quiet --filter name=demo"
    assert stack.user(left) == ""
    assert stack.user("podman volume ls --quiet") == "kept"
    # A monitor ends a moment after its container has been removed, and its scope with it.
    units = "systemctl --user list-units --all --plain --no-legend 'libpod*' '*.timer'"
    stack.until(lambda: stack.user(units) == "", "without a unit of podman's")
    stack.user("podman volume rm kept")


@pytest.mark.timeout(1200, method="signal", func_only=True)
def test_a_stack_comes_back_after_a_reboot_and_a_power_cut(stack: Stack) -> None:
    """In good order there is nothing to clear away; after a power cut the remains are removed first."""
    assert stack.ctl("restart") == 0
    for how in ("reboot", "cut"):
        if how == "reboot":
            stack.machine.reboot()
        else:
            stack.machine.power_cut()
            stack.machine.boot()
        stack.until(lambda: stack.show()["ActiveState"] == "active", "active")
        assert stack.names() == {"demo-web-1", "demo-plain-1"}
        assert ("removed before the start" in stack.log()) == (how == "cut")


REGISTRY = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/test-registry}}
http: {addr: "127.0.0.1:5000"}
"""
IMAGE = "localhost:5000/app:1"


def push(machine: Machine, tag: str) -> None:
    """Have the registry's app:1 be one of the two images."""
    store = "podman --root /usr/lib/containers/storage"
    machine.run(f"{store} push --quiet --tls-verify=false localhost/busybox:{tag} docker://{IMAGE}")


def test_an_update_is_pulled_applied_and_taken_back(stack: Stack) -> None:
    """`pull`, `digests`, reload, and `restore`: what changed is made anew, and comes back with its old image."""
    m = stack.machine
    m.write("/etc/test-registry.yml", REGISTRY)
    m.run(["systemd-run", "--quiet", "--unit=registry", "docker-registry", "serve", "/etc/test-registry.yml"])
    m.run("curl --silent --retry 50 --retry-delay 1 --retry-connrefused http://127.0.0.1:5000/v2/")
    push(m, "1")
    stack.has(GOOD | {"web": {"image": IMAGE, "pull_policy": "missing", "healthcheck": HEALTHY}})
    assert stack.ctl("restart") == 0

    def ask(command: str, stdin: str = "") -> tuple[int, Any]:
        argv = ["eventd-compose", command, "--file", f"{stack.folder}/compose.yaml", "--project", "demo"]
        done = m.run(argv, user="wl", cwd="/", input=stdin, check=False, timeout=120)
        return done.returncode, json.loads(done.stdout)

    _, before = ask("digests")
    assert ask("pull")[1]["images"][0]["changed"] is False
    push(m, "2")
    status, pulled = ask("pull")
    assert (status, pulled["images"][0]["image"], pulled["images"][0]["changed"]) == (0, IMAGE, True)
    plain = {line for line in stack.containers() if "plain" in line}
    assert stack.ctl("reload") == 0
    _, after = ask("digests")
    web = after["services"]["web"]
    assert web["running"] == [web["id"]] != before["services"]["web"]["running"]
    assert plain < stack.containers()

    assert ask("restore", json.dumps(before))[1]["ok"] is True
    assert stack.ctl("reload") == 0
    _, again = ask("digests")
    assert again["services"]["web"]["running"] == before["services"]["web"]["running"]

    m.run(["systemctl", "stop", "registry.service"])
    status, failed = ask("pull")
    assert (status, failed["images"][0]["ok"]) == (1, False)
    assert "connection refused" in failed["images"][0]["reason"]
