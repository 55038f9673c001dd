"""Adoption: an account that somebody made is handed over to eventd, and only by somebody who says so.

Pure. What speaks against it, and what it means, for `eventctl adopt` to show before it asks. The grant that comes of it
is written down by `state.controller_inventory`; the next plan has an `AdoptAccount`, which the policies judge once
more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eventd.adoption.model_finds import Finds
from eventd.platform.model_facts import Account


class Password(StrEnum):
    """What shadow(5) says."""

    NONE = "none"
    """Locked, or there never was one."""
    USABLE = "usable"
    """Somebody can log in with it, or without one."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What tells that a person uses an account. Read on demand: behind a home may be a network."""

    password: Password = Password.NONE
    ssh_keys: tuple[str, ...] = ()
    """Paths, as the account itself sees them."""
    unknown: str = ""
    """Why the home could not be looked into."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Root has said that eventd may take an account."""

    uid: int
    at: float
    """Seconds since the epoch."""
    with_login: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What speaks against it."""

    reason: str
    message: str
    hint: str
    by_login: bool = False
    """`--with-login` says that this is known and meant."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account, and what is known about it."""

    account: Account
    signs: Signs
    sessions: frozenset[str] = frozenset()
    protected: str = ""
    """Why it is never touched; empty: it is not protected."""
    recorded: bool = False
    wanted: bool = True
    """The repository has a workload of that name for this host."""


def obstacles(candidate: Candidate) -> tuple[Obstacle, ...]:
    """Return what speaks against handing an account over, the worst first."""
    account, signs, found = candidate.account, candidate.signs, []
    name = account.name
    if candidate.protected:
        # Whatever else there is: to see to that would not help.
        return (Obstacle("protected", candidate.protected, "give the workload another name"),)
    if candidate.recorded:
        found.append(
            Obstacle("already-ours", f"the account {name} is eventd's already", f"eventctl status {name}")
        )
    if not candidate.wanted:
        found.append(
            Obstacle(
                "no-such-workload",
                f"the repository has no workload {name} for this host",
                "push it first; nothing of it is done until the account is handed over",
            )
        )
    if candidate.sessions:
        found.append(
            Obstacle(
                "person-logged-in",
                f"somebody is logged in as {name} (sessions: {', '.join(sorted(candidate.sessions))})",
                f"loginctl user-status {name}; ask again when they have left",
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
    with_login = "--with-login, if the person knows that eventd runs containers as them"
    if signs.password is Password.USABLE:
        found.append(
            Obstacle(
                "has-password", f"{name} has a password: a person logs in with it", with_login, by_login=True
            )
        )
    if signs.ssh_keys:
        keys = ", ".join(signs.ssh_keys)
        found.append(
            Obstacle(
                "has-ssh-keys",
                f"{name} has ssh keys ({keys}): a person logs in with them",
                with_login,
                by_login=True,
            )
        )
    if signs.unknown:
        found.append(
            Obstacle(
                "home-unknown",
                f"the home of {name} cannot be looked into: {signs.unknown}",
                with_login,
                by_login=True,
            )
        )
    return tuple(found)


def findings(account: Account, finds: Finds, *, lingers: bool) -> tuple[str, ...]:
    """Return what an account has of its own that will stand beside the workload, or in its way, as sentences."""
    name, found = account.name, []
    if finds.files:
        files = ", ".join(f"~/{path}" for path in finds.files[:_SHOWN])
        more = f" and {len(finds.files) - _SHOWN} more" if len(finds.files) > _SHOWN else ""
        found.append(
            f"Quadlet files and units of its own, which win over eventd's of the same name: {files}{more};"
            f" eventctl adopt {name} --move-aside stops their units and moves them into a folder of its home"
        )
    for project in finds.projects:
        where = f", begun from {project.folder}" if project.folder else ""
        runs = (
            f"{project.containers} containers, which go on running" if project.containers else "no containers"
        )
        found.append(
            f"the compose project {project.name} ({runs}{where}); in eventctl shell {name}:"
            f" podman compose -p {project.name} down, which keeps its volumes"
        )
    if finds.volumes:
        names = ", ".join(each.name for each in finds.volumes[:_SHOWN])
        more = f" and {len(finds.volumes) - _SHOWN} more" if len(finds.volumes) > _SHOWN else ""
        found.append(
            f"podman's volumes {names}{more}: they stay, and are used where the workload calls them so; a new and empty"
            " one is not made beside one of these without a word of yours"
        )
    if lingers:
        found.append("it lingers: its manager, and what is enabled there, starts at boot")
    if finds.problem:
        found.append(f"not all of it could be looked at: {finds.problem}")
    return tuple(found)


_SHOWN = 12


def meaning(account: Account, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return what handing an account over means, as sentences."""
    name = account.name
    return (
        f"eventd installs the workload's files for {name} (in {', '.join(folders)}), enables lingering for it and runs"
        " its units in its own manager, from boot on",
        f"what these units run has the rights of {name}: its home {account.home}, its groups, its files",
        "eventd stops these units and removes these files when they leave the repository",
        "the account, its home and whatever is in it are never deleted by eventd, with no signature",
        f"it is written down as adopted; `eventctl disown {name}` takes it back and leaves everything as it is",
    )
