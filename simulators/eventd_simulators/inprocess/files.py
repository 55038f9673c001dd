"""The ports `Files` and `FileWatch` over the tree in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import FileState, PlatformFact
from eventd_simulators.faults import Lossy
from eventd_simulators.inprocess.life import Channel, Life
from eventd_simulators.model import signals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventd_simulators.model.files import MemoryTree


class SimFiles:
    """`ports.Files`."""

    def __init__(self, life: Life, tree: MemoryTree) -> None:
        self._life = life
        self._tree = tree

    async def put(self, path: str, content: bytes, *, mode: int) -> Sequence[str]:
        """See the port."""
        faults = self._life.faults
        if faults.hits(faults.file_failures):
            await self._life.read(lambda: None)
            raise TemporaryError(f"cannot write {path}: No space left on device", reason="disk-full")
        await self._life.change(f"put {path}", lambda: self._tree.put(path, content, mode=mode), failure=0)
        return ()  # this tree has files only

    async def remove(self, path: str) -> Sequence[str]:
        """See the port."""
        await self._life.change(f"remove {path}", lambda: self._tree.remove(path), failure=0)
        return ()

    async def read(self, path: str) -> FileState | None:
        """See the port."""
        return await self._life.read(lambda: self._state(path))

    async def scan(self, folder: str) -> Mapping[str, FileState]:
        """See the port."""
        return await self._life.read(lambda: {path: entry.state for path, entry in self._tree.below(folder)})

    def _state(self, path: str) -> FileState | None:
        entry = self._tree.entry(path)
        return None if entry is None else entry.state


class SimFileWatch:
    """`ports.FileWatch`: after a change it reads the path a moment later."""

    def __init__(self, life: Life, tree: MemoryTree, hub: signals.Hub) -> None:
        self._life = life
        self._tree = tree
        self._folders: dict[str, dict[str, None]] = {}
        """Folder -> paths that were reported."""
        self._channel = Channel(life, self._overflowed)
        hub.listen(self._on_signal)

    async def watch(self, folder: str) -> None:
        """See the port."""
        if folder in self._folders:
            return
        self._folders[folder] = {}
        await self._life.read(lambda: self._read(folder))

    async def refresh(self, path: str) -> None:
        """See the port."""

        def now() -> None:
            for folder in self._folders:
                if path.startswith(folder.rstrip("/") + "/"):
                    self._read_path(folder, path)

        await self._life.read(now)

    async def unwatch(self, folder: str) -> None:
        """See the port."""
        known = self._folders.pop(folder, {})
        facts = [(FactKey(PlatformFact.FILE, path), None) for path in known]
        await self._life.read(
            lambda: self._life.emit(PlatformOrigin.INOTIFY, KernelEvent.READ, folder, facts=facts)
        )

    def _on_signal(self, signal: signals.Signal) -> None:
        if isinstance(signal, signals.FileChanged):
            for folder in self._folders:
                if signal.path.startswith(folder.rstrip("/") + "/"):
                    self._channel.post(partial(self._read_path, folder, signal.path), signal=Lossy.FILE)

    def _read_path(self, folder: str, path: str) -> None:
        if folder not in self._folders:
            return
        entry = self._tree.entry(path)
        self._folders[folder][path] = None
        if entry is None:
            del self._folders[folder][path]
        facts = ((FactKey(PlatformFact.FILE, path), None if entry is None else entry.state),)
        self._life.emit(PlatformOrigin.INOTIFY, PlatformEvent.FILE_CHANGED, path, facts=facts)

    def _overflowed(self) -> None:
        self._life.emit(PlatformOrigin.INOTIFY, KernelEvent.GAP, "files")
        self.reread()

    def reread(self) -> None:
        """Read all watched folders again."""
        for folder in self._folders:
            self._read(folder)

    def _read(self, folder: str) -> None:
        known = self._folders[folder]
        found = {path: entry.state for path, entry in self._tree.below(folder)}
        gone = [path for path in known if path not in found]
        facts = [(FactKey(PlatformFact.FILE, path), found.get(path)) for path in (*gone, *found)]
        self._folders[folder] = dict.fromkeys(found)
        self._life.emit(PlatformOrigin.INOTIFY, KernelEvent.READ, folder, facts=facts)
