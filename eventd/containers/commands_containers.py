"""Lists the containers of an account by its own podman, and finds the one that a name means.

podman's output is controlled by the account: every value is checked before it is used as an argument, and cleaned
before it is shown.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventd.containers import commands_as_account as as_account
from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.kernel.model.names import did_you_mean

if TYPE_CHECKING:
    from eventd.containers.commands_as_account import Account

TIMEOUT = 60.0
"""Seconds for one account's podman, which may wait for its own lock."""
_LARGEST = 16 * 1024 * 1024
_ID = re.compile(r"[0-9a-f]{12,64}")
_HEALTH = re.compile(r"\((healthy|unhealthy|starting)\)")
_SERVICE_LABELS = ("com.docker.compose.service", "io.podman.compose.service")


@dataclass(frozen=True, slots=True)
class Container:
    """One container, from `podman ps --all`."""

    id: str
    name: str
    service: str
    """Its name in the compose file, or empty."""
    unit: str
    """The Quadlet unit, or empty."""
    image: str
    state: str
    health: str
    """healthy, unhealthy, starting; empty without a check."""
    exit_code: int
    since: float
    """Seconds since the epoch: when it started, or when it ended."""
    ports: tuple[str, ...]

    @property
    def short(self) -> str:
        """The name that people use for it."""
        return self.service or self.name.removeprefix("systemd-")

    def called(self, name: str) -> bool:
        """Whether `name` means this one."""
        names = {self.name, self.short, self.unit, self.unit.removesuffix(".service")} - {""}
        return name in names or (len(name) >= 12 and self.id.startswith(name))


def of_account(who: Account, *, caller: int | None = None) -> list[Container]:
    """List the account's containers. Raises EventdError: user-manager-unavailable, podman-failed, deadline."""
    as_account.need_manager(who)
    command = ["podman", "ps", "--all", "--no-trunc", "--format", "json"]
    try:
        done = subprocess.run(
            as_account.argv(who, command, terminal=False, caller=caller),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
            env=as_account.environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(
            f"podman of {who.name} did not answer within {TIMEOUT:g} s",
            hint=f"run podman ps in eventctl shell {who.name}: another process may hold its lock",
        ) from error
    except OSError as error:
        raise PermanentError(f"cannot run systemd-run: {error.strerror}", reason="podman-failed") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
        raise PermanentError(
            f"podman ps of {who.name} failed: {said}",
            reason="podman-failed",
            hint=f"eventctl shell {who.name} opens a shell as this account",
        )
    return parse(done.stdout)


def parse(output: bytes) -> list[Container]:
    """Parse `podman ps --format json`, leaving out the infra containers of pods."""
    try:
        rows = json.loads(output[:_LARGEST] or b"[]")
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise PermanentError("the output of podman ps is not a list", reason="podman-failed")
    found = [_container(row) for row in rows if isinstance(row, dict) and row.get("IsInfra") is not True]
    return sorted((each for each in found if each is not None), key=lambda each: each.short)


def meant(containers: list[Container], name: str, workload: str) -> Container:
    """Return the running container that `name` means; with an empty name, the only running one.

    Raises PermanentError(reason="no-such-container" | "container-not-running" | "which-container").
    """
    running = [each for each in containers if each.state == "running"]
    if name:
        called = [each for each in containers if each.called(name)]
        if not called:
            hint = did_you_mean(name, [each.short for each in containers])
            raise PermanentError(
                f"{workload} has no container {name!r}",
                reason="no-such-container",
                hint=hint or f"eventctl ps {workload} lists them",
            )
        up = [each for each in called if each.state == "running"]
        if not up:
            raise _not_running(f"the container {name} of {workload} is {called[0].state}", workload)
        return up[0]
    if not running:
        raise _not_running(f"no container of {workload} is running", workload)
    called = running if len(running) == 1 else [each for each in running if each.called(workload)]
    if len(called) != 1:
        which = ", ".join(each.short for each in running)
        raise PermanentError(
            f"{workload} has {len(running)} running containers: {which}",
            reason="which-container",
            hint=f"eventctl exec {workload} {running[0].short} -- COMMAND",
        )
    return called[0]


def _not_running(message: str, workload: str) -> PermanentError:
    return PermanentError(message, reason="container-not-running", hint=f"eventctl why {workload}")


def _container(row: dict[str, Any]) -> Container | None:
    identity = _string(row.get("Id"))
    if not _ID.fullmatch(identity):
        return None
    labels = row.get("Labels")
    labels = labels if isinstance(labels, dict) else {}
    names = row.get("Names")
    health = _HEALTH.search(_string(row.get("Status")))
    exited = _string(row.get("State")) in {"exited", "stopped"}
    return Container(
        id=identity,
        name=_string(names[0]) if isinstance(names, list) and names else identity[:12],
        service=next((_string(labels[key]) for key in _SERVICE_LABELS if labels.get(key)), ""),
        unit=_string(labels.get("PODMAN_SYSTEMD_UNIT")),
        image=_string(row.get("Image")),
        state=_string(row.get("State")),
        health=health[1] if health else "",
        exit_code=_integer(row.get("ExitCode")),
        since=float(_integer(row.get("ExitedAt" if exited else "StartedAt"))),
        ports=tuple(_ports(row.get("Ports"))),
    )


def _ports(ports: object) -> list[str]:
    found = []
    for each in ports if isinstance(ports, list) else []:
        if not isinstance(each, dict):
            continue
        host, inside = _integer(each.get("host_port")), _integer(each.get("container_port"))
        count = max(1, _integer(each.get("range")))
        more = f"-{host + count - 1}" if count > 1 else ""
        address = _string(each.get("host_ip"))
        found.append(
            f"{address + ':' if address else ''}{host}{more}->{inside}/{_string(each.get('protocol'))}"
        )
    return found


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
