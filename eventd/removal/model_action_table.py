"""The actions on accounts of removed workloads: how each is settled, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.draft import Draft, Planned
from eventd.kernel.model.journal import PLAN, Ending
from eventd.kernel.model.reversibility import Judgement, Provenance, benign, destroys
from eventd.removal.model_actions import DeleteAccount, Orphan, RenameAccount
from eventd.workloads.model_records import Records


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
    ActionRow(Orphan, Ending(PLAN, "when it is back in the repository"), benign),
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
"""The rows of the domain."""
