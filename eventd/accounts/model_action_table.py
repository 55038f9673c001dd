"""The actions on accounts: how each is settled in the journal, and what it means for data."""

from __future__ import annotations

from eventd.accounts.model_actions import CompleteAccount, CreateAccount
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import PLAN, Ended, Ending, OpenStep, Settlement
from eventd.kernel.model.reversibility import benign
from eventd.workloads.model_records import Records
from eventd.workloads.model_recovery import ACCOUNT_COMMENT, OwnAccount, WorkloadObservation, World

NO_SHELLS = frozenset({"nologin", "false"})


def _account(step: OpenStep, world: World, records: Records) -> Settlement:
    name, found = step.target, world.account
    record = records.workloads.get(name)
    if found is None:
        return Settlement(Ended.NOT_BEGUN, f"the account {name} was not created")
    if record is not None:
        mine = record.run == step.run and record.uid == found.uid
        note = f"the account {name} is recorded"
        return Settlement(Ended.RESUMED, note, (OwnAccount(found),) if mine else ())
    # When the intent was written, the account did not exist. But the daemon may have been down for a long time, and a
    # person may have created an account of that name since: theirs has a login shell, or lacks our comment.
    if found.shell.rpartition("/")[2] not in NO_SHELLS or found.comment != ACCOUNT_COMMENT:
        return Settlement(Ended.NOT_BEGUN, f"the account {name} (uid {found.uid}) was not created by eventd")
    note = f"the account {name} (uid {found.uid}) had been created, and is now recorded"
    return Settlement(Ended.RESUMED, note, (OwnAccount(found),))


ACTIONS = (
    ActionRow(
        CreateAccount,
        Ending(
            "an account that useradd(8) created is recorded, and the steps that an interrupted useradd missed are done",
            "never automatic: an account holds data; removed from the repository, it is retained",
            WorkloadObservation.ACCOUNT,
            _account,
        ),
        benign,
    ),
    ActionRow(CompleteAccount, Ending(PLAN, "nothing to undo: unused ids"), benign),
)
"""The action rows of this domain."""
