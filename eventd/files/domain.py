"""What the domain `files` adds to eventd."""

from __future__ import annotations

import os
from collections.abc import Iterable

from eventd.audit.source import ProvenanceSource
from eventd.configured import layout_of
from eventd.files.adapter import OwnedFiles, everybody, primary_group
from eventd.files.adapter_named import Digester
from eventd.files.model_action_table import ACTIONS
from eventd.files.model_actions import PutFile, RemoveFile
from eventd.files.ports import Files, FileWatch
from eventd.files.source_named import NamedFiles
from eventd.files.source_owned import OwnedFilesSource
from eventd.files.source_watched import WatchedFiles
from eventd.kernel.domain import Context, Domain, PolicyRow, Source, Stage
from eventd.platform.host_key import host_key
from eventd.platform.inotify import GuardedInotify, Inotify
from eventd_handlers import files
from eventd_policies.files_ownership import Ownership


def connect(context: Context) -> Iterable[Source]:
    """Share eventd's own files, and watch them, those that gates mention and those that workloads name."""
    settings, emit, guarded = context.settings, context.emit, context.need(GuardedInotify)
    layout, provenance, is_root = layout_of(settings), context.find(ProvenanceSource), os.geteuid() == 0

    def touched(path: str) -> None:
        uid = layout.uid_of(path)
        if uid is not None and provenance is not None:
            provenance.touched(uid)

    group = primary_group if is_root and context.local else everybody
    context.share(Files, OwnedFiles(layout.roots, owner=(0, 0) if is_root else None, group=group))
    owned = OwnedFilesSource(context.need(Inotify), emit, touched=touched)
    context.share(FileWatch, owned)
    watched = context.share(WatchedFiles, WatchedFiles(guarded, emit, owned=layout.roots))
    named = NamedFiles(
        emit,
        context.facts,
        guarded,
        Digester(host_key(f"{settings.paths.state}/files.key")),
        provenance.watch_also if provenance is not None else lambda _name, _paths: None,
    )
    context.share(NamedFiles, named)
    if provenance is not None:
        provenance.subscribe(named.invalidate_owner)
    return (
        Source("files", owned.run, reread=owned.reread),
        Source("gate-files", watched.run, invalidate=watched.invalidate),
        Source("named-files", named.run, invalidate=named.invalidate),
    )


DOMAIN = Domain(
    name="files",
    actions=ACTIONS,
    policies=(PolicyRow(Stage.OWNERSHIP, lambda host: Ownership(layout_of(host.settings))),),
    handlers={PutFile: files.put, RemoveFile: files.remove},
    connect=connect,
)
