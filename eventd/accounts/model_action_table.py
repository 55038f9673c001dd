"""The actions on accounts: how each ends in the journal, and what it means for data."""

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
        return Settlement(Ended.NOT_BEGUN, f"the account {name} was not made")
    if record is not None:
        mine = record.run == step.run and record.uid == found.uid
        note = f"the account {name} is recorded"
        return Settlement(Ended.RESUMED, note, (OwnAccount(found),) if mine else ())
    # The intent was written when there was no such account. But the daemon may have been down for long after it
    # died, and a person may have made one of that name meanwhile: theirs has a shell to log in with, or not our mark.
    if found.shell.rpartition("/")[2] not in NO_SHELLS or found.comment != ACCOUNT_COMMENT:
        return Settlement(Ended.NOT_BEGUN, f"the account {name} (uid {found.uid}) is somebody else's")
    note = f"the account {name} (uid {found.uid}) had been made, and is recorded now"
    return Settlement(Ended.RESUMED, note, (OwnAccount(found),))


def deletion(action: DeleteAccount) -> Draft:
    """Return what is signed for the deletion of an account."""
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
    # Whether anything was written to a home cannot be told without walking through it. One that a finished run made
    # has been lived in.
    del records
    return destroys(Provenance(action.made_by, run, bears_data=True), deletion(action))


ACTIONS = (
    ActionRow(
        CreateAccount,
        Ending(
            "an account that useradd(8) made is recorded, and what a cut-off useradd left out is made up for",
            "never by itself: an account bears data; out of the repository, it is retained",
            WorkloadLooks.ACCOUNT,
            _account,
        ),
        benign,
    ),
    ActionRow(CompleteAccount, Ending(PLAN, "nothing to undo: ids that nobody uses"), benign),
    ActionRow(
        RenameAccount,
        Ending(
            "what it changes is written down first: it goes on from what is there",
            "renamed back by the repository",
        ),
        benign,
    ),
    ActionRow(
        DeleteAccount,
        Ending(
            "its stages are written down one by one: it goes on from the last",
            "never: it was signed for, and a deleted home does not come back",
        ),
        _deletion,
    ),
)
"""The rows of the domain."""
