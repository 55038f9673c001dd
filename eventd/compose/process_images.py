"""The images of a stack, as documents for the daemon: which it wants, has and runs, and which could not be pulled.

An update is: `digests`, `pull`; if an image changed, `systemctl --user reload-or-restart`; and if that fails, `restore`
with the first document, and `reload-or-restart` once more.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from eventd.compose.process_failure import Reason, StackError
from eventd.compose.process_podman import ANSWER, Podman, last_line

_NOT_PULLED: Final = frozenset({"never", "build"})


def services(podman: Podman) -> dict[str, dict[str, Any]]:
    """Return the services with an image, as the provider reads the compose file.

    Both providers print YAML. Raises StackError(PROVIDER) if the provider rejects the file.
    """
    done = podman.run(podman.stack.compose("config"), check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("Error: executing ")]
        raise StackError(Reason.PROVIDER, f"compose config: {last_line(chr(10).join(said))}")
    try:
        found = yaml.safe_load(done.stdout)["services"] or {}
        return {name: one for name, one in sorted(found.items()) if one.get("image")}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise StackError(Reason.PROVIDER, "cannot parse the output of compose config") from error


def digests(podman: Podman) -> dict[str, Any]:
    """Return for each service the reference, the local image's id and repository digests, and the running ids."""
    running: dict[str, list[str]] = {}
    for one in podman.containers():
        running.setdefault(one.service, []).append(one.image_id)
    document = {}
    for name, service in services(podman).items():
        document[name] = {
            "image": service["image"],
            **_image(podman, service["image"]),
            "running": sorted(set(running.get(name, []))),
        }
    return {"project": podman.stack.project, "services": document}


def _image(podman: Podman, reference: str) -> dict[str, Any]:
    done = podman.run(["podman", "image", "inspect", reference], check=False)
    documents = podman.documents(done.stdout)
    if not documents:
        return {"id": None, "digests": []}
    return {"id": documents[0].get("Id"), "digests": sorted(documents[0].get("RepoDigests") or [])}


def pull(podman: Podman, *, timeout: float) -> dict[str, Any]:
    """Pull every image of the stack, continuing after failures; `ok` is false if one failed.

    Each image is listed once, with its id before and after, or with the reason. Images with `pull_policy: never`, and
    those built here, are left out.
    """
    wanted = sorted(
        {
            one["image"]
            for one in services(podman).values()
            if one.get("pull_policy") not in _NOT_PULLED and "build" not in one
        }
    )
    document: list[dict[str, Any]] = []
    for reference in wanted:
        before = _image(podman, reference)["id"]
        entry: dict[str, Any] = {"image": reference, "before": before}
        try:
            done = podman.run(["podman", "pull", "--quiet", reference], timeout=timeout, check=False)
            said = "" if not done.returncode else last_line(done.stderr)
        except StackError as error:
            said = str(error)
        entry["ok"] = not said
        if said:
            entry["reason"] = said.removeprefix("Error: ")
        else:
            entry["after"] = _image(podman, reference)["id"]
            entry["changed"] = entry["after"] != before
        document.append(entry)
    return {"project": podman.stack.project, "ok": all(one["ok"] for one in document), "images": document}


def restore(podman: Podman, document: dict[str, Any]) -> dict[str, Any]:
    """Tag images as in an earlier `digests` document; `ok` is false if one is gone."""
    entries = []
    for name, one in document["services"].items():
        if not one["id"]:
            continue
        done = podman.run(["podman", "tag", one["id"], one["image"]], check=False, timeout=ANSWER)
        entry = {"service": name, "image": one["image"], "id": one["id"], "ok": not done.returncode}
        if done.returncode:
            entry["reason"] = last_line(done.stderr).removeprefix("Error: ")
        entries.append(entry)
    return {
        "project": podman.stack.project,
        "ok": all(entry["ok"] for entry in entries),
        "services": entries,
    }
