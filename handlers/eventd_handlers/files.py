"""Files: install and remove. A file is recorded before it is written, so that a crash leaves no unrecorded file."""

from __future__ import annotations

from eventd.files.model_actions import PutFile, RemoveFile
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import FactKey
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd.workloads.model_records import FileRecord
from eventd.workloads.plan_files import mode_of


async def put(action: Action, tx: Transaction) -> None:
    """Write a file and refresh its fact at once: the next plan must not see the old state until inotify fires."""
    assert isinstance(action, PutFile)
    path = tx.layout.path(action.file, tx.user().uid)
    _note_rewrite(tx)
    await tx.inventory.file(tx.workload, path, FileRecord(action.file.digest, tx.run))
    mode = mode_of(executable=action.file.executable)
    made = await tx.host.files.put(path, action.file.content, mode=mode)
    await tx.inventory.made(made, tx.user().uid, tx.run)
    await tx.host.file_watch.refresh(path)


async def remove(action: Action, tx: Transaction) -> None:
    """Remove a file, then its record."""
    assert isinstance(action, RemoveFile)
    _note_rewrite(tx)
    gone = await tx.host.files.remove(action.path)
    await tx.host.file_watch.refresh(action.path)
    await tx.inventory.file(tx.workload, action.path, None)
    await tx.inventory.unmade(gone)


def _note_rewrite(tx: Transaction) -> None:
    if not tx.manager_is_down():
        tx.inventory.rewritten(tx.workload)
    if tx.facts.get(FactKey(WorkloadFact.MANAGER, tx.workload)) is ManagerState.UP:
        tx.rewritten = True
