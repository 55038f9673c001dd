"""`eventctl storage [NAME]`: volumes, what is attached and unknown, and what backups would contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from eventd.cli import codes, show
from eventd.cli.text import ago, clean, size_text
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError
from eventd.storage import commands_change as storage_change
from eventd.storage import commands_migrate as storage_migrate

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

_WRONG = frozenset({"refused", "degraded", "lost"})
_AWAY = frozenset({"disconnected", "ejecting", "ejected"})
_WORST = (codes.AS_WANTED, codes.HELD, codes.NOT_CONVERGED)


def run(arguments: Any, terminal: Terminal) -> int:
    """Ask and show; the exit code is that of the worst volume shown. Or do what the first word says with one."""
    words: list[str] = arguments.words
    if len(words) == 2 and words[0] in storage_change.VERBS:
        return storage_change.run(words[0], words[1], arguments, terminal)
    lone = len(words) == 1 and words[0] in (*storage_change.VERBS, *storage_migrate.VERBS)
    if lone:
        _misused(f"{words[0]} needs the NAME of a volume", f"eventctl storage {words[0]} NAME")
    if len(words) > 1:
        if len(words) == 2 and words[0] in storage_migrate.VERBS:
            return storage_migrate.run(words[0], words[1], arguments, terminal)
        verbs = ", ".join((*storage_change.VERBS, *storage_migrate.VERBS))
        _misused(
            f"{' '.join(words)!r} is not understood",
            f"eventctl storage, eventctl storage NAME, or one of {verbs} and the NAME of a volume",
        )
    return _show(words[0] if words else None, arguments, terminal)


def _misused(message: str, hint: str) -> NoReturn:
    raise PermanentError(message, reason="usage", hint=hint)


def _show(name: str | None, arguments: Any, terminal: Terminal) -> int:
    answer: Json = Client(arguments.socket).get(at("storage"))
    volumes = show.items(answer, "volumes")
    if name is not None:
        volumes = [each for each in volumes if each.get("name") == name]
        if not volumes:
            have = (
                ", ".join(sorted(clean(each.get("name", "")) for each in show.items(answer, "volumes")))
                or "none"
            )
            raise PermanentError(
                f"there is no volume {name!r}", reason="no-such-volume", hint=f"volumes: {have}"
            )
        users = {user for each in volumes for user in show.items(each, "users")}
        answer = {
            **answer,
            "volumes": volumes,
            "unknown": [],
            "workloads": [each for each in show.items(answer, "workloads") if each.get("name") in users],
        }
    if arguments.json:
        terminal.json(answer)
    elif name is not None:
        _one(terminal, volumes[0])
        _backups(terminal, answer)
    else:
        _all(terminal, answer)
    return max((_code(each) for each in volumes), key=_WORST.index, default=codes.AS_WANTED)


def _code(volume: Json) -> int:
    """Return the code for one volume: wrong, waited for, or in order."""
    state, reason, used = volume.get("state"), volume.get("reason"), bool(show.items(volume, "users"))
    if state in _WRONG or reason == "duplicate-id" or (state in {"ejecting", "found"} and reason):
        return codes.NOT_CONVERGED
    if reason == "not-moved" or (used and state in _AWAY):
        return codes.HELD
    return codes.AS_WANTED


def _all(terminal: Terminal, answer: Json) -> None:
    volumes = show.items(answer, "volumes")
    if not volumes:
        terminal.line("no volumes: storage.toml of the repository declares none for this host")
    rows = [
        [
            clean(each.get("name", "")) + (" (default)" if each.get("default") else ""),
            clean(each.get("state", "")),
            ago(each.get("since"), terminal.now) if each.get("since") else "",
            clean(each.get("path", "")),
            clean(each.get("device", "")) if each.get("state") in ("attached", "degraded") else "",
            _space(each),
            ", ".join(clean(user) for user in show.items(each, "users")),
            clean(each.get("label", "")),
        ]
        for each in volumes
    ]
    terminal.table(("VOLUME", "STATE", "SINCE", "PATH", "DEVICE", "FREE", "USED BY", "LABEL"), rows)
    for each in volumes:
        if each.get("reason") and each.get("state") != "disconnected":
            show.problem(terminal, each, lead=f"{clean(each.get('name', ''))}: ")
    for each in volumes:
        if not each.get("reason") and each.get("state") in ("ejected", "ejecting"):
            terminal.line(f"{clean(each.get('name', ''))}: {clean(each.get('message', ''))}")
    for each in volumes:
        for line in storage_migrate.status_lines(each):
            terminal.line(line)
    unknown = [each for each in show.items(answer, "unknown") if not show.items(each, "mounted_at")]
    if unknown:
        terminal.line()
        terminal.line("attached, and not in storage.toml (never mounted):")
        rows = [
            [
                " ".join(clean(node) for node in show.items(each, "devices")),
                clean(each.get("filesystem", "")),
                clean(each.get("label", "")),
                clean(each.get("uuid", "")),
            ]
            for each in unknown
        ]
        terminal.table(("DEVICE", "FILE SYSTEM", "LABEL", "UUID"), rows)
    _backups(terminal, answer)


def _one(terminal: Terminal, one: Json) -> None:
    identity = one.get("id") or {}
    state = clean(one.get("state", ""))
    since = f", since {ago(one['since'], terminal.now)}" if one.get("since") else ""
    terminal.line(f"{clean(one.get('name', ''))}: {state}{since}")
    show.problem(terminal, one, "  ")
    yes = {True: "yes", False: "no"}
    rows = [
        ["label", clean(one.get("label", ""))],
        ["id", f"{clean(identity.get('kind', ''))} {clean(identity.get('value', ''))}"],
        ["path", clean(one.get("path", ""))],
        ["device", clean(one.get("device", ""))],
        ["mounted", f"{clean(one.get('filesystem', ''))} {clean(one.get('options', ''))}".strip()],
        ["free", _space(one)],
        ["wanted", clean(one.get("wanted", ""))],
        ["default", yes.get(bool(one.get("default")), "")],
        ["schedulable", yes.get(bool(one.get("schedulable")), "")],
        ["backup", clean(one.get("backup", ""))],
        ["migrated to", clean(one.get("migrated_to", ""))],
        ["last seen", ago(one["last_seen"], terminal.now) if one.get("last_seen") else ""],
        ["used by", ", ".join(clean(user) for user in show.items(one, "users"))],
    ]
    for key, value in rows:
        if value:
            terminal.line(f"  {key:<12} {value}")


def _backups(terminal: Terminal, answer: Json) -> None:
    rows: list[list[str]] = []
    for each in show.items(answer, "workloads"):
        name = clean(each.get("name", ""))
        for place in show.items(each, "backup"):
            size = place.get("bytes")
            shown = "not measured yet" if size is None else size_text(size)
            if size is not None and place.get("whole") is False:
                shown += " or more"
            rows.append([name, "yes" if place.get("included") else "no", shown, clean(place.get("path", ""))])
            name = ""
    if rows:
        terminal.line()
        terminal.table(("WORKLOAD", "IN BACKUP", "SIZE", "PLACE"), rows)


def _space(one: Json) -> str:
    size, free = one.get("size"), one.get("free")
    if not isinstance(size, int) or not isinstance(free, int):
        return ""
    return f"{size_text(free)} of {size_text(size)}" + (" (full)" if one.get("full") else "")
