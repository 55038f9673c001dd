"""Scope: who in the daemon may take another identity, or give one to a command. Read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.unit import daemon_code

_IDS = ("uid", "euid", "reuid", "resuid", "fsuid", "gid", "egid", "regid", "resgid", "fsgid")
SWITCHES = {"setgroups", "initgroups", *(f"set{part}" for part in _IDS)}
_HOW = ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")
STARTERS = {
    *(f"os.{name}" for name in ("fork", "forkpty", "system", "popen", "posix_spawn", "posix_spawnp")),
    *(f"os.{kind}{how}" for kind in ("exec", "spawn") for how in _HOW),
    *(f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output", "getoutput")),
    *(
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "subprocess_exec",
        "subprocess_shell",
    ),
    *("anyio.run_process", "anyio.open_process", "pty.spawn"),
}
RUN_AS = {"setpriv", "sudo", "runuser", "machinectl", "systemd-run", "pkexec", "nsenter", "unshare", "run0"}
"""Programs that run a command as somebody else."""


def uses(tree: ast.AST) -> Iterator[str]:
    """Yield names that are used, also with the module that they are taken from, calls, texts, and units' properties."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield f"{node.func.id if isinstance(node.func, ast.Name) else node.func.attr}()"
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                yield from (name, f"{module}.{name}")
            case ast.Attribute(attr=name) | ast.Name(id=name):
                yield name
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Constant(value=str(text)):
                yield text
            case ast.Tuple(elts=[ast.Constant(value=str(name)), ast.Constant(value=str(signature)), _]):
                yield f"{name}={signature}"  # of a unit, as D-Bus has it


@cache
def modules() -> dict[str, frozenset[str]]:
    """Return what is used by everything that can run inside the daemon, by path."""
    return {name: frozenset(uses(tree)) for name, tree in daemon_code.modules().items()}


@pytest.mark.parametrize(
    ("names", "where"),
    [
        # A look into a home, by the ids of the file system alone; and `eventd.accounts.process_ending`, a program of
        # its own.
        (SWITCHES, {"eventd/platform/processes/as_account.py", "eventd/accounts/process_ending.py"}),
        # A connection to a user's bus, for one system call in a thread that ends with it.
        ({"_SETRESUID"}, {"eventd/platform/dbus/peer_socket.py"}),
        # And to end a process of git's or the checks', for one kill(2).
        ({"effective_uid"}, {"eventd/platform/dbus/peer_socket.py", "eventd/platform/processes/process.py"}),
        ({"syscall"}, {"eventd/platform/processes/as_account.py", "eventd/platform/dbus/peer_socket.py"}),
        # Programs of their own, each in a unit: `eventd.accounts.process_ending`, and what is run as an account to
        # look into its home.
        (
            STARTERS,
            {
                "eventd/platform/processes/process.py",
                "eventd/accounts/process_ending.py",
                "eventd/adoption/adapter_account_script.py",
            },
        ),
        # There it is the name of a group.
        (RUN_AS, {"eventd/platform/processes/process.py", "eventd/kernel/model/privileged_names.py"}),
        ({"User=s", "Group=s", "DynamicUser=b"}, {"eventd/platform/processes/unit_rights.py"}),
        # The ids of git's and the checks' accounts, and of nobody else.
        ({"ServiceAccount()"}, {"eventd/platform/service_accounts.py"}),
    ],
    ids=["switches", "connects", "ends", "system-calls", "starts", "runs-as", "units", "accounts"],
)
@pytest.mark.timeout(60)
def test_one_module_each(names: set[str], where: set[str]) -> None:
    """Who else wants another identity goes through `Processes`: a process with it is no child of the daemon's."""
    found = {path: here for path, used in modules().items() if (here := used & names)}
    assert set(found) == where, found
