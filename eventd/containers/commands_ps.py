"""`eventctl ps [WORKLOAD]`: the containers, listed by each account's own podman."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean, lasting
from eventd.containers import commands_as_account as as_account
from eventd.containers import commands_containers as containers
from eventd.kernel.model.errors import EventdError

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal
    from eventd.containers.commands_as_account import Account
    from eventd.containers.commands_containers import Container

_AT_ONCE = 4
"""How many accounts are listed in parallel: each costs three short processes."""


def run(arguments: Any, terminal: Terminal) -> int:
    """List the containers; 0 if every podman answered."""
    one = arguments.workload
    accounts = [as_account.account(one, "ps")] if one else as_account.everyones("ps")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(_list, accounts))
    found = [
        (who, each)
        for who, answer in zip(accounts, answers, strict=True)
        if isinstance(answer, list)
        for each in answer
    ]
    failed = [
        (who, answer)
        for who, answer in zip(accounts, answers, strict=True)
        if isinstance(answer, EventdError)
    ]
    if arguments.json:
        document: dict[str, Any] = {
            "containers": [{"workload": who.name, **asdict(each)} for who, each in found],
            "errors": [
                {"workload": who.name, "reason": error.reason, "message": error.message, "hint": error.hint}
                for who, error in failed
            ],
        }
        terminal.json(document)
    else:
        header = ("WORKLOAD", "CONTAINER", "STATE", "SINCE", "PORTS", "IMAGE")
        terminal.table(header, [_row(who, each, terminal.now) for who, each in found])
        if not found and not failed:
            terminal.line("no containers")
    for who, error in failed:
        terminal.notice(f"eventctl: {who.name}: {clean(error.message)}")
        if error.hint:
            terminal.notice(f"hint: {clean(error.hint)}")
    return codes.NOT_CONVERGED if failed else codes.AS_WANTED


def _list(who: Account) -> list[Container] | EventdError:
    try:
        return containers.of_account(who)
    except EventdError as error:
        return error


def _row(who: Account, it: Container, now: float) -> list[str]:
    state = it.state + (f" ({it.health})" if it.health else "")
    if it.state == "exited":
        state += f" ({it.exit_code})"
    ports = ", ".join(it.ports)
    return [who.name, *(clean(each) for each in (it.short, state, lasting(it.since, now), ports, it.image))]
