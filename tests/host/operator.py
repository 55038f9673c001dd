"""An operator at a test host: has eventd set up as the documentation says, pushes commits, and asks eventctl.

What is awaited is awaited from outside, as a person would: by asking until the answer is right, with a deadline.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.host.machine import HostError, Machine

REMOTE = "/srv/git/host.git"
WORK = "/root/work"
SECRET = "the webhook's secret"
HOOK = """\
[[hooks]]
name = "forge"
forge = "gitea"
branch = "main"
secret = "eventd-webhook.forge"
"""


def container(
    image: str = "localhost/busybox:1", *, note: str = "", service: str = "", more: str = ""
) -> str:
    """Return a Quadlet file of a container that runs until it is stopped, and stops at once."""
    return f"""\
[Unit]
Description=test {note}

[Container]
Image={image}
Pull=never
Exec=/bin/sh -c 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'
StopTimeout=1
{more}
[Service]
{service}

[Install]
WantedBy=default.target
"""


class Operator:
    """One operator, one host."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def install(self, config: str = "") -> None:
        """Set up eventd and an empty repository on this host, and start it."""
        m = self.machine
        m.run(["systemd-sysusers"])
        m.run(["systemd-tmpfiles", "--create"], check=False)
        m.write("/etc/eventd/eventd.toml", f'[repository]\nurl = "{REMOTE}"\n{config}')
        m.run(
            f"git init -q --bare -b main {REMOTE} && git init -q -b main {WORK} && cd {WORK}"
            f" && git remote add origin {REMOTE}"
            " && git config user.name op && git config user.email op@example.org"
        )
        self.commit({"README.md": "a test repository\n"})
        self.push()
        m.run(["systemctl", "enable", "--now", "eventd.service"])

    def commit(self, files: Mapping[str, str | None]) -> str:
        """Write (None: delete) files and commit; returns the commit id."""
        for path, text in files.items():
            if text is None:
                self.machine.run(["git", "-C", WORK, "rm", "-rqf", path])
            else:
                self.machine.write(f"{WORK}/{path}", text)
        self.machine.run(f"cd {WORK} && git add -A && git commit -qm change --allow-empty")
        return self.machine.run(["git", "-C", WORK, "rev-parse", "HEAD"]).stdout.strip()

    def push(self) -> None:
        """Push; the daemon sees the branch change by inotify."""
        self.machine.run(["git", "-C", WORK, "push", "-qf", "origin", "main"])

    def deploy(self, files: Mapping[str, str | None]) -> dict[str, Any]:
        """Commit, push, and wait until a run over this commit has ended; returns the status."""
        commit = self.commit(files)
        self.push()
        return self.settled(commit)

    def settled(self, commit: str, timeout: float = 240) -> dict[str, Any]:
        """Wait until the daemon is at `commit` and no workload is on its way."""

        def at_rest(status: dict[str, Any]) -> bool:
            moving = {"pending", "applying", "verifying"}
            return (
                status["commit"] == commit
                and status["run"] is None
                and not moving & {w["state"] for w in status["workloads"]}
                and (status["last_run"] or {}).get("commit") == commit
            )

        return self.until(at_rest, f"at rest at {commit}", timeout)

    def until(
        self, right: Callable[[dict[str, Any]], bool], what: str, timeout: float = 240
    ) -> dict[str, Any]:
        """Ask for the status until it is right; fails with the last one at the deadline."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.status()
            if status is not None and right(status):
                return status
            if time.monotonic() > deadline:
                raise AssertionError(f"not {what} within {timeout} s: {json.dumps(status)}")
            time.sleep(0.05)

    def state(self, name: str, wanted: str, timeout: float = 240) -> dict[str, Any]:
        """Wait until a workload is in a state; returns its part of the status."""
        status = self.until(
            lambda s: any(w["name"] == name and w["state"] == wanted for w in s["workloads"]),
            f"{name} {wanted}",
            timeout,
        )
        return workload(status, name)

    def told(self) -> dict[str, Any]:
        """Return the status as it is now, or as soon as the daemon answers."""
        return self.until(lambda _status: True, "answering")

    def status(self) -> dict[str, Any] | None:
        """Return GET /v1/status by curl, None while nobody listens."""
        done = self.machine.run(
            [
                "curl",
                "-sS",
                "--fail",  # a daemon that starts or ends may answer that it does
                "--max-time",
                "10",
                "--unix-socket",
                "/run/eventd/eventd.sock",
                "http://eventd/v1/status",
            ],
            check=False,
        )
        if done.returncode != 0:
            return None
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def ctl(self, *arguments: str, timeout: float = 300) -> tuple[int, str]:
        """Run eventctl; returns its exit status and both of its outputs."""
        done = self.machine.run(["eventctl", *arguments], check=False, timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def user_unit(self, user: str, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a user's unit; empty ones while there is no such user, or no manager of theirs."""
        try:
            return self.machine.show(unit, *properties, user=user)
        except HostError:
            return dict.fromkeys(properties, "")

    def invocation(self, user: str) -> str:
        """Return the invocation id of the unit named as its user."""
        return self.user_unit(user, f"{user}.service", "InvocationID")["InvocationID"]

    def hook(self, body: bytes, delivery: str, secret: str = SECRET) -> str:
        """Deliver a Gitea webhook to the listener on this host; returns the HTTP status."""
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        self.machine.write("/tmp/hook.json", body)
        return self.machine.run(
            [
                *("curl", "-sS", "-o", "/tmp/hook.out", "-w", "%{http_code}", "--max-time", "120"),
                *("-H", "Content-Type: application/json", "-H", "X-Gitea-Event: push"),
                *("-H", f"X-Gitea-Delivery: {delivery}", "-H", f"X-Gitea-Signature: {signature}"),
                *("--data-binary", "@/tmp/hook.json", "http://127.0.0.1:8787/hooks/forge"),
            ]
        ).stdout


def workload(status: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one workload of a status."""
    (found,) = [w for w in status["workloads"] if w["name"] == name]
    return found
