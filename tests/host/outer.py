"""The outer machine: the one that builds trees and boots hosts.

Owns what is outside every test host: the cache, the lock that keeps two processes from building the
same thing at once, the programs that building and booting need, and running them with an error that says
what they printed. It knows nothing of trees or machines; `tree.py` and `layers.py` build on it.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]

# Program -> the Debian package that has it.
_PROGRAMS: Final = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "mount": "mount",
    "unshare": "util-linux",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
}
_SBIN: Final = "/usr/sbin:/sbin:/usr/bin:/bin"


class OuterError(Exception):
    """The outer machine cannot build or boot a test host; says which step failed and what it printed."""


def cache_dir() -> Path:
    """Return the cache outside the checkout, made if it is not there."""
    path = Path(os.environ.get("EVENTD_HOST_CACHE") or "/var/cache/eventd-test-host")
    path.mkdir(parents=True, exist_ok=True)
    return path


def why_not() -> str | None:
    """Return why this machine cannot boot test hosts, or None when it can try."""
    if os.geteuid() != 0:
        return "test hosts need root (mount namespaces, nspawn)"
    if not shutil.which("apt-get") and missing_programs():
        return f"missing: {', '.join(missing_programs())}, and no apt-get to install them"
    return None


def missing_programs() -> list[str]:
    """Return the programs that building and booting need and that are not here."""
    search = f"{os.environ.get('PATH', '')}:{_SBIN}"
    return [name for name in _PROGRAMS if not shutil.which(name, path=search)]


def ensure_programs() -> None:
    """Install what is missing with apt-get. Takes no time when nothing is."""
    missing = missing_programs()
    if not missing:
        return
    packages = sorted({_PROGRAMS[name] for name in missing})
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    with locked("apt"):
        try:
            checked(install, timeout=600, env=env)
        except OuterError:  # a fresh machine has no package lists yet, or old ones
            checked(["apt-get", "update"], timeout=300, env=env)
            checked(install, timeout=600, env=env)


def checked(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program to its end and return what it printed; OuterError when it fails or takes too long."""
    words = [str(word) for word in argv]
    environment = {
        **os.environ,
        "PATH": f"{os.environ.get('PATH', '')}:{_SBIN}",
        "LC_ALL": "C.UTF-8",
        **(env or {}),
    }
    try:
        done = subprocess.run(
            words,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=stdin if stdin is not None else "",
            timeout=timeout,
            env=environment,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise OuterError(f"no such program: {words[0]}") from error
    except subprocess.TimeoutExpired as error:
        said = (
            error.output.decode(errors="replace") if isinstance(error.output, bytes) else error.output or ""
        )
        raise OuterError(f"took more than {timeout:.0f} s: {' '.join(words)}\n{said[-4000:]}") from error
    if done.returncode:
        raise OuterError(f"status {done.returncode}: {' '.join(words)}\n{done.stdout[-4000:]}")
    return done.stdout


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock of this name, across processes. It is released when the holder dies."""
    with (cache_dir() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def building(final: Path) -> Iterator[Path | None]:
    """Build `final` atomically: yields a temporary folder beside it that becomes it, or None if it is there.

    Looked at once more under the lock, so that of two processes one builds and the other waits and uses it.
    """
    if final.exists():
        yield None
        return
    with locked(final.name.split("-")[0]):
        if final.exists():
            yield None
            return
        for stale in final.parent.glob(f".{final.name}.*"):  # a build that was killed; we hold the lock
            shutil.rmtree(stale)
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        temporary.chmod(0o755)
        try:
            yield temporary
            temporary.rename(final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def prune(kind: str, keep: Path, *, newest: int) -> None:
    """Remove all but the `newest` last used folders of a kind, except those that a host still runs on."""
    others = sorted(
        (path for path in cache_dir().glob(f"{kind}-*") if path.is_dir() and path != keep),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in others[max(newest - 1, 0) :]:
        with _use_lock(path).open("w") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            _use_lock(path).unlink()


def _use_lock(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.use"


def lock_shared(folder: Path) -> IO[bytes]:
    """Lock a cached folder as in use, for as long as the returned file (or a child's copy of it) is open."""
    return lock_file(_use_lock(folder), shared=True)


def lock_file(path: Path, *, shared: bool = False) -> IO[bytes]:
    """Open a file and lock it; the lock lasts as long as a copy of the descriptor is open in any process."""
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    return file


def digest(parts: Iterable[str | bytes]) -> str:
    """Return a short key of the parts, in their order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:16]
