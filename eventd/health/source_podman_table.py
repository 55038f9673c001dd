"""A table of accounts' containers and images, folded from podman's events in the journal.

Owns only that table. A row uses only entries of its own user, so a workload can lie about itself only. The table is
bounded, since a user may log as much as they like.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from eventd.containers.model import ObservedContainer
from eventd.platform.journal_follow import Entry
from eventd.updates.adapter_podman import PROJECT_LABEL, SERVICE_LABEL, UNIT_LABEL

T = TypeVar("T")
FIELDS = ("PODMAN_TYPE", "PODMAN_IMAGE", "PODMAN_LABELS", "_PID")
MOST = 64
"""How many containers, and how many images, are kept for one account."""
TEXT = 255
"""How many characters of a name are kept."""
_STATES = {
    "create": "created",
    "init": "created",
    "start": "running",
    "restart": "running",
    "unpause": "running",
    "pause": "paused",
    "died": "exited",
}
CONTAINER_EVENTS = frozenset(_STATES) | {"remove", "health_status"}
IMAGE_COMES = frozenset({"pull", "tag", "loadfromarchive"})
IMAGE_GOES = frozenset({"untag", "remove"})
EVENTS = CONTAINER_EVENTS | IMAGE_COMES | IMAGE_GOES


@dataclass(slots=True)
class _Account:
    containers: dict[str, ObservedContainer] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    """Reference -> id of the image that it named last; empty: the reference was removed."""
    pulled: tuple[str, str] = ("", "")
    """The process that used an image last, and that image's id: a container that it creates next is made from it."""
    cursor: str = ""


class PodmanTable:
    """The table, by uid. `image`: called with a uid, a reference, and whether it was added, or may be gone."""

    def __init__(self, image: Callable[[int, str, bool], None]) -> None:
        self._image = image
        self._accounts: dict[int, _Account] = {}

    def keep(self, uids: frozenset[int]) -> frozenset[int]:
        """Keep exactly these accounts; return which are new."""
        for uid in [uid for uid in self._accounts if uid not in uids]:
            del self._accounts[uid]
        fresh = uids - self._accounts.keys()
        for uid in fresh:
            self._accounts[uid] = _Account()
        return frozenset(fresh)

    def clear(self) -> None:
        """Forget everything: journal entries are missing."""
        self._accounts.clear()

    def containers(self, uid: int) -> tuple[ObservedContainer, ...]:
        """Return an account's containers, by name."""
        found = self._accounts.get(uid)
        return tuple(found.containers[name] for name in sorted(found.containers)) if found is not None else ()

    def take(self, entry: Entry) -> bool:
        """Apply one entry. Returns whether a container has changed."""
        account = self._accounts.get(entry.uid)
        if account is None or entry.cursor == account.cursor:
            return False
        account.cursor = entry.cursor
        event, kind = entry.fields.get("PODMAN_EVENT", ""), entry.fields.get("PODMAN_TYPE", "")
        if kind == "image":
            self._take_image(account, entry, event)
            return False
        return kind == "container" and self._take_container(account, entry, event)

    def _take_image(self, account: _Account, entry: Entry, event: str) -> None:
        name, number = entry.fields.get("PODMAN_NAME", "")[:TEXT], entry.fields.get("PODMAN_ID", "")[:TEXT]
        if event in IMAGE_COMES:
            account.pulled = entry.fields.get("_PID", ""), number
            _put(account.images, name, number)
            self._image(entry.uid, name, True)  # noqa: FBT003 - it was added
            for made in [c for c in account.containers.values() if not c.image_id and c.image == name]:
                account.containers[made.name] = replace(made, image_id=number)
        elif event in IMAGE_GOES and name:
            account.images.pop(name, None)
            self._image(entry.uid, name, False)  # noqa: FBT003 - it may be gone

    @staticmethod
    def _take_container(account: _Account, entry: Entry, event: str) -> bool:
        fields = entry.fields
        name, number = fields.get("PODMAN_NAME", "")[:TEXT], fields.get("PODMAN_ID", "")[:TEXT]
        before = account.containers.get(name)
        if event == "remove":
            if before is None or before.id != number:
                return False
            del account.containers[name]
            return True
        if before is None or before.id != number:
            if event == "health_status" and before is not None:
                return False  # a check of a container that is gone
            labels = _labels(fields.get("PODMAN_LABELS", ""))
            image = fields.get("PODMAN_IMAGE", "")[:TEXT]
            pid, pulled = account.pulled
            known = pulled if pid and pid == fields.get("_PID") else account.images.get(image, "")
            project = labels.get(PROJECT_LABEL, "")
            unit = labels.get(UNIT_LABEL) or (f"{project}.service" if project else "")
            before = ObservedContainer(
                name, number, image, known, unit[:TEXT], labels.get(SERVICE_LABEL, "")[:TEXT]
            )
        now = replace(before)
        if event == "health_status":
            now = replace(
                before, health=fields.get("PODMAN_HEALTH_STATUS", "")[:TEXT], state=before.state or "running"
            )
        elif event in _STATES:
            ended = event == "died"
            now = replace(
                before, state=_STATES[event], health="" if ended or event == "start" else before.health
            )
        if (now.state, now.health) != (before.state, before.health):
            now = replace(now, since=entry.wall)
        if now == account.containers.get(name):
            return False
        _put(account.containers, name, now)
        return True


def _put(rows: dict[str, T], name: str, value: T) -> None:
    """Set a row as the newest, and drop the oldest if there are too many."""
    rows.pop(name, None)
    rows[name] = value
    while len(rows) > MOST:
        del rows[next(iter(rows))]


def _labels(text: str) -> dict[str, str]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
