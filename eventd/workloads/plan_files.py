"""The unit files of a workload: which to write, and which to remove.

Pure. `eventd.workloads.plan` puts these actions before all starts.
"""

from __future__ import annotations

from eventd.desired.model import Workload
from eventd.files.model_actions import PutFile, RemoveFile
from eventd.kernel.model.action import Action
from eventd.platform.model_facts import FileKind, FileState
from eventd.workloads.model_context import Context
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records


def file_is(state: FileState | None, digest: str, mode: int, uid: int) -> bool:
    """Return whether a path has the desired regular file."""
    return (
        state is not None
        and state.kind is FileKind.REGULAR
        and state.digest == digest
        and state.mode == mode
        and state.uid == uid
    )


def mode_of(*, executable: bool) -> int:
    """Return the permission bits of an installed file: everyone may read it, only root may write it."""
    return 0o755 if executable else 0o644


def file_actions(
    workload: Workload, seen: Observed, records: Records, context: Context
) -> tuple[list[Action], list[Action]]:
    """Return actions that write the files that differ, and remove those that the repository no longer has."""
    uid = seen.account.uid if seen.account else None
    puts: list[Action] = []
    wanted: set[str] = set()
    for file in workload.files:
        if uid is None:
            puts.append(PutFile(workload.name, file, "it does not exist"))
            continue
        path = context.layout.path(file, uid)
        wanted.add(path)
        state = seen.files.get(path)
        if file_is(state, file.digest, mode_of(executable=file.executable), context.owner_uid):
            continue
        puts.append(PutFile(workload.name, file, _why_put(state, file.digest, records, workload.name, path)))
    removes: list[Action] = [
        RemoveFile(workload.name, path, "the repository no longer has it")
        for path in sorted(records.files.get(workload.name, {}))
        if path not in wanted
    ]
    return puts, removes


def _why_put(state: FileState | None, digest: str, records: Records, workload: str, path: str) -> str:
    record = records.file(workload, path)
    if state is None:
        return "it does not exist" if record is None else "it was deleted"
    if record is None or record.digest != digest:
        return "its content changes"
    return "it was changed on the host"
