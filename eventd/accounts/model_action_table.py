"""The actions on accounts: how each is settled in the journal, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.draft import Draft, Planned
from eventd.kernel.model.journal import PLAN, Ended, Ending, OpenStep, Settlement
from eventd.kernel.model.reversibility import Judgement, Provenance, benign, destroys
from eventd.workloads.model_actions import CompleteAccount, CreateAccount, DeleteAccount, RenameAccount
from eventd.workloads.model_records import Records
from eventd.workloads.model_recovery import ACCOUNT_COMMENT, OwnAccount, WorkloadLooks, World

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


def deletion(action: DeleteAccount) -> Draft:
    """Return the text that an operator signs to approve the deletion of an account."""
    return Draft(
        action.workload,
        (
            Planned(
                action.verb,
                action.account,
                f"ends every process of {action.account}, deletes {action.home} with everything in it"
                " (containers, images, volumes), and deletes the account and its subordinate ids",
            ),
        ),
        (f"account {action.account} uid {action.uid} home {action.home} made by run {action.made_by}",),
        action.why,
    )


def _deletion(action: DeleteAccount, records: Records, run: int) -> Judgement:
    # Without walking through a home nobody can tell whether it was written to. If the run that created it finished,
    # assume that it was.
    del records
    return destroys(Provenance(action.made_by, run, bears_data=True), deletion(action))


ACTIONS = (
    ActionRow(
        CreateAccount,
        Ending(
            "an account that useradd(8) created is recorded, and the steps that an interrupted useradd missed are done",
            "never automatic: an account holds data; removed from the repository, it is retained",
            WorkloadLooks.ACCOUNT,
            _account,
        ),
        benign,
    ),
    ActionRow(CompleteAccount, Ending(PLAN, "nothing to undo: unused ids"), benign),
    ActionRow(
        RenameAccount,
        Ending(
            "each change is recorded first: it continues from the observed state",
            "by renaming it back in the repository",
        ),
        benign,
    ),
    ActionRow(
        DeleteAccount,
        Ending(
            "each stage is recorded: it continues from the last one",
            "never: it was approved, and a deleted home cannot be restored",
        ),
        _deletion,
    ),
)
"""The action rows of this domain."""
