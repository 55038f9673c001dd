"""The action on an account's podman store: how it is settled, and what it means for data."""

from __future__ import annotations

from eventd.containers.model_actions import ResetStore
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.draft import Draft, Planned
from eventd.kernel.model.journal import Ending
from eventd.kernel.model.reversibility import Judgement, Provenance, destroys
from eventd.workloads.model_records import Records


def reset(action: ResetStore) -> Draft:
    """Return what must be signed to reset a damaged podman store: what is lost, and what is kept."""
    found, name = action.damage, action.account
    return Draft(
        action.workload,
        (
            Planned(
                action.verb,
                found.path,
                f"moves {found.path} aside and restarts everything of {name}; gone are {found.goes};"
                f" what stays is {found.stays}",
            ),
        ),
        (f"file {found.path} of account {name} uid {action.uid} home {action.home}",),
        found.title,
    )


def _reset(action: ResetStore, records: Records, run: int) -> Judgement:
    del records
    return destroys(Provenance(None, run, bears_data=True), reset(action))


ACTIONS = (
    ActionRow(
        ResetStore,
        Ending(
            "if the store is still damaged, the next start finds that, and its reset is requested again",
            "by hand: the file is kept beside its original path",
        ),
        _reset,
    ),
)
"""The rows of the domain."""
