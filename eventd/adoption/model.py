"""Adoption: an existing account is handed over to eventd, and only on an explicit request.

Pure. Finds the obstacles and explains the consequences, which `eventctl adopt` shows before it asks.
`state.controller_inventory` records the grant. The next plan has an `AdoptAccount`, which the policies judge again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eventd.adoption.model_finds import Finds
from eventd.platform.model_facts import Account


class Password(StrEnum):
    """The state of the password in shadow(5)."""

    NONE = "none"
    """Locked, or never set."""
    USABLE = "usable"
    """Somebody can log in with it, or the password is empty."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs that a person uses an account. Read on demand, because a home may be on a network file system."""

    password: Password = Password.NONE
    ssh_keys: tuple[str, ...] = ()
    """Paths, as the account itself reports them."""
    unknown: str = ""
    """Why the home could not be read."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Root has allowed eventd to adopt an account."""

    uid: int
    at: float
    """Seconds since the epoch."""
    with_login: bool = False


@dataclass(frozen=True, slots=True)
class Aside:
    """The files of an account are being moved aside."""

    uid: int
    home: str
    folder: str
    """Where to, relative to the home."""

    def is_of(self, account: Account) -> bool:
        """Tell whether this is the account whose files are moved."""
        return (account.uid, account.home) == (self.uid, self.home)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A reason not to adopt an account."""

    reason: str
    message: str
    hint: str
    by_login: bool = False
    """`--with-login` overrides it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may be adopted, and what is known about it."""

    account: Account
    signs: Signs
    sessions: frozenset[str] = frozenset()
    protected: str = ""
    """Why it is protected; empty: it is not."""
    recorded: bool = False
    wanted: bool = True
    """The repository has a workload of that name for this host."""


def obstacles(candidate: Candidate) -> tuple[Obstacle, ...]:
    """Return the reasons not to adopt an account, the most severe first."""
    account, signs, found = candidate.account, candidate.signs, []
    name = account.name
    if candidate.protected:
        # Nothing else matters: fixing it would not help.
        return (Obstacle("protected", candidate.protected, "give the workload another name"),)
    if candidate.recorded:
        found.append(
            Obstacle("already-ours", f"eventd already manages the account {name}", f"eventctl status {name}")
        )
    if not candidate.wanted:
        found.append(
            Obstacle(
                "no-such-workload",
                f"the repository has no workload {name} for this host",
                "push the workload first; it is not deployed until the account is handed over",
            )
        )
    if candidate.sessions:
        found.append(
            Obstacle(
                "person-logged-in",
                f"somebody is logged in as {name} (sessions: {', '.join(sorted(candidate.sessions))})",
                f"loginctl user-status {name}; try again when they have logged out",
            )
        )
    if account.subuid is None or account.subgid is None:
        found.append(
            Obstacle(
                "no-subordinate-ids",
                f"the account {name} has no subordinate ids, which rootless containers need",
                f"usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST {name}; see subuid(5)",
            )
        )
    with_login = "pass --with-login if the person knows that eventd will run containers under this account"
    if signs.password is Password.USABLE:
        found.append(
            Obstacle(
                "has-password",
                f"{name} has a password: a person may log in with it",
                with_login,
                by_login=True,
            )
        )
    if signs.ssh_keys:
        keys = ", ".join(signs.ssh_keys)
        found.append(
            Obstacle(
                "has-ssh-keys",
                f"{name} has ssh keys ({keys}): a person may log in with them",
                with_login,
                by_login=True,
            )
        )
    if signs.unknown:
        found.append(
            Obstacle(
                "home-unknown",
                f"cannot read the home of {name}: {signs.unknown}",
                with_login,
                by_login=True,
            )
        )
    return tuple(found)


def findings(account: Account, finds: Finds, *, lingers: bool) -> tuple[str, ...]:
    """Return, as sentences, what the account already has that will coexist or conflict with the workload."""
    name, found = account.name, []
    if finds.files:
        files = ", ".join(f"~/{path}" for path in finds.files[:_SHOWN])
        more = f" and {len(finds.files) - _SHOWN} more" if len(finds.files) > _SHOWN else ""
        found.append(
            f"Quadlet files and units of its own, which override eventd's of the same name: {files}{more};"
            f" eventctl adopt {name} --move-aside stops their units and moves them into a folder in its home"
        )
    for project in finds.projects:
        where = f", started from {project.folder}" if project.folder else ""
        runs = (
            f"{project.containers} containers, which keep running" if project.containers else "no containers"
        )
        found.append(
            f"the compose project {project.name} ({runs}{where}); in eventctl shell {name}:"
            f" podman compose -p {project.name} down, which keeps its volumes"
        )
    if finds.volumes:
        names = ", ".join(each.name for each in finds.volumes[:_SHOWN])
        more = f" and {len(finds.volumes) - _SHOWN} more" if len(finds.volumes) > _SHOWN else ""
        found.append(
            f"podman volumes {names}{more}: they stay, and the workload uses those that it names; eventd asks before it"
            " creates a new, empty volume beside one of these"
        )
    if lingers:
        found.append("lingering: its manager and its enabled units start at boot")
    if finds.problem:
        found.append(f"the inspection is incomplete: {finds.problem}")
    return tuple(found)


_SHOWN = 12


def meaning(account: Account, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return what adopting an account means, as sentences."""
    name = account.name
    return (
        f"eventd installs the workload's files for {name} (in {', '.join(folders)}), enables lingering for it and runs"
        " its units in its own manager, from boot on",
        f"these units run with the rights of {name}: its home {account.home}, its groups, its files",
        "eventd stops these units and removes these files when they leave the repository",
        "eventd never deletes the account or its home, not even with an approval",
        f"the account is recorded as adopted; `eventctl disown {name}` gives it back and leaves everything as it is",
    )
