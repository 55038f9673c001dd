"""The story: each step does something, shows how eventd reacts, and fails if it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eventd_simulators.demo import hand, sample
from eventd_simulators.demo.children import DemoError
from eventd_simulators.demo.stage import Stage, Status


def play(stage: Stage) -> None:
    """Run all steps. Raises DemoError."""
    push(stage)
    change(stage)
    drift(stage)
    mistake(stage)
    removal(stage)


def push(stage: Stage) -> None:
    """Commit and push the sample repository."""
    stage.screen.step("A push", "Three workloads; each becomes a Linux user with its own containers.")
    _write(stage, sample.FILES)
    took, status = _push(stage, "Three workloads", "the push runs", _converged)
    _expect(len(status["workloads"]) == 3, "there are three workloads", status)
    run = status["last_run"]
    _expect(any(t["origin"] == "webhook" for t in run["triggers"]), "the webhook set off the run", status)
    stage.eventctl("runs", str(run["id"]))
    stage.eventctl("status")
    stage.screen.proof(f"3 workloads run, {took:.1f} s after the push; no timer was involved")


def change(stage: Stage) -> None:
    """Change one workload."""
    stage.screen.step("A change", "One image tag. Only what changed is restarted.")
    before = _invocations(stage.status())
    stage.screen.output("workloads/web/web.container: Image=…/web:1.0 -> 1.1")
    _write(stage, sample.CHANGED)
    took, status = _push(stage, "web 1.1", "the change is applied", _converged)
    after = _invocations(status)
    changed = {unit for unit in before if before[unit] != after.get(unit)}
    _expect(changed == {"web/web.service"}, "only web.service was restarted", status)
    stage.eventctl("status", "web")
    stage.screen.proof(
        f"web.service was restarted {took:.1f} s after the push; the others kept their invocation"
    )


def drift(stage: Stage) -> None:
    """Stop a unit by hand, then delete a file."""
    stage.screen.step("Drift", "Somebody stops a container, then deletes a file. Nothing is pushed.")
    before = _invocations(stage.status())["db/db.service"]
    stage.screen.command("systemctl", "--user", "-M", "db@", "stop", "db.service")
    began = time.monotonic()
    asyncio.run(hand.act(stage.system, "stop", "db", "db.service"))
    stage.until(
        "db.service runs again",
        lambda s: _invocations(s)["db/db.service"] not in (before, "") and _converged(s),
    )
    stage.screen.proof(f"db.service runs again after {time.monotonic() - began:.1f} s")
    status = stage.status()
    uid = next(w["uid"] for w in status["workloads"] if w["name"] == "web")
    path = stage.root / f"etc/containers/systemd/users/{uid}/web.container"
    content, invocation = path.read_bytes(), _invocations(status)["web/web.service"]
    runs = status["last_run"]["id"]
    stage.screen.command("rm", f"/{path.relative_to(stage.root)}")
    began = time.monotonic()
    path.unlink()
    status = stage.until(
        "web.container is back",
        lambda s: path.exists() and s["last_run"]["id"] > runs and _converged(s),
    )
    _expect(path.read_bytes() == content, "the file has its content", status)
    _expect(_invocations(status)["web/web.service"] == invocation, "web.service was not restarted", status)
    stage.screen.proof(
        f"the file is back after {time.monotonic() - began:.1f} s; the container never stopped"
    )
    stage.eventctl("runs", "--limit", "2")


def mistake(stage: Stage) -> None:
    """Push a spelling mistake, then revert it."""
    stage.screen.step(
        "A mistake", "A misspelt key is refused before anything is touched, and what ran goes on."
    )
    before = _invocations(stage.status())
    stage.screen.output("workloads/web/web.container: PublishPort -> PublishPrt")
    _write(stage, sample.MISTAKE)
    _, status = _push(stage, "web 1.2", "the mistake is refused", lambda s: _state(s, "web") == "refused")
    stage.eventctl("status", expect=1)
    running = {"db": "converged", "jobs": "converged"}
    _expect(
        all(_state(status, name) == state for name, state in running.items()), "the others are well", status
    )
    stage.screen.proof("file, line and remedy are named; the exit status says that something is wrong")
    stage.git("revert", "--no-edit", "HEAD")
    _, status = _push(stage, "", "the revert is applied", _converged)
    _expect(_invocations(status) == before, "nothing was restarted by it", status)
    stage.screen.proof("reverted: converged again, without one restart")


def removal(stage: Stage) -> None:
    """Remove a workload."""
    stage.screen.step("A removal", "What leaves the repository is stopped. Its account and data stay.")
    uid = next(w["uid"] for w in stage.status()["workloads"] if w["name"] == "db")
    data = stage.root / "home/db/orders"
    data.write_text("precious\n")
    stage.screen.command("git", "rm", "-r", "workloads/db")
    stage.git("rm", "-r", "--quiet", "workloads/db")
    _, status = _push(
        stage, "db is not needed any more", "db is removed", lambda s: _state(s, "db") == "removed"
    )
    _expect(data.read_text() == "precious\n", "the data is kept", status)
    _expect(not (stage.root / f"run/user/{uid}/bus").exists(), "its user manager is gone", status)
    folder = stage.root / f"etc/containers/systemd/users/{uid}"
    _expect(not any(folder.rglob("*.container")), "its files are gone", status)
    stage.eventctl("status")
    stage.screen.proof("db is stopped, its files are gone, its user and its data are not")


def _push(stage: Stage, message: str, what: str, holds: Callable[[Status], bool]) -> tuple[float, Status]:
    """Commit all (with a message) and push; returns the seconds until the host had converged, and the status then."""
    if message:
        stage.git("add", "--all")
        stage.screen.command("git", "commit", "--all", "--message", message)
        stage.git("commit", "--quiet", "--all", "--message", message)
    commit = stage.git("rev-parse", "HEAD").strip()
    stage.screen.command("git", "push", "origin", "main")
    began = time.monotonic()
    said = stage.git("push", "--quiet", "origin", "main")
    stage.screen.output(said)
    if "webhook: 202 " not in said:
        raise DemoError("the webhook was not accepted")
    status = stage.until(what, lambda s: _at_rest(s, commit) and holds(s))
    return time.monotonic() - began, status


def _at_rest(status: Status, commit: str) -> bool:
    last = status["last_run"] or {}
    return status["commit"] == commit and status["run"] is None and last.get("commit") == commit


def _converged(status: Status) -> bool:
    return bool(status["state"] == "converged" and status["run"] is None)


def _state(status: Status, name: str) -> str:
    return next((str(w["state"]) for w in status["workloads"] if w["name"] == name), "")


def _invocations(status: Status) -> dict[str, str]:
    return {f"{w['name']}/{u['name']}": u["invocation"] for w in status["workloads"] for u in w["units"]}


def _write(stage: Stage, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = Path(stage.work, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _expect(true: Any, what: str, status: Status) -> None:
    if not true:
        raise DemoError(f"it is not so that {what}. The status:\n{status}")
