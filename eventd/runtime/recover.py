"""Recovery: what the last life of the daemon left open is taken up before the first run.

Decisions are level-triggered, so an interrupted run needs no replay: the next plan is made from what is there. Only
what the world cannot tell has to be settled here: an account that exists because we made it, though we died before we
could write down that it is ours.
"""

from __future__ import annotations

import logging

from eventd.core.actions import CreateAccount
from eventd.core.errors import EventdError
from eventd.core.ports import OpenStep
from eventd.runtime.host import Host
from eventd.runtime.ledger import Ledger

log = logging.getLogger(__name__)
COMPLETE_TIMEOUT = 30.0
NO_SHELLS = frozenset({"nologin", "false"})


async def recover(host: Host, ledger: Ledger) -> int:
    """Settle the open steps and return how many there were."""
    steps = await host.store.open_steps()
    for step in steps:
        log.warning("step %s %s of run %d was interrupted", step.verb, step.target, step.run)
        try:
            await _settle(step, host, ledger)
        except EventdError as error:
            # The workload's own run meets the same and reports it; the others must not wait for it.
            log.error("%s cannot be completed: %s", step.target, error)  # noqa: TRY400 - reported, not a bug
    await host.store.close_open()
    return len(steps)


async def _settle(step: OpenStep, host: Host, ledger: Ledger) -> None:
    if step.verb != CreateAccount.verb or step.target in ledger.records.workloads:
        return
    # The intent was written when there was no such account. But the daemon may have been down for long after it
    # died, and a person may have made one of that name meanwhile: theirs has a shell to log in with, ours never.
    # What the cut-off useradd did not get to (its home, subordinate ids) is made up for.
    account = await host.accounts.lookup(step.target)
    if account is not None and account.shell.rpartition("/")[2] in NO_SHELLS:
        await ledger.created(step.target, account.uid, step.run)
        await host.accounts.complete(account, timeout=COMPLETE_TIMEOUT)
