"""Handlers: how each kind of action is carried out. Thin where they touch the world, and they decide nothing.

To add one: an action in `eventd.workloads.model_actions`, a function here, a line in `HANDLERS`.
"""

from collections.abc import Mapping

from eventd.kernel.model.action import Action
from eventd.workloads import model_actions as actions
from eventd.workloads.controller_transaction import Handler
from eventd_handlers import accounts, files
from eventd_handlers import accounts_deletion as deletion
from eventd_handlers import accounts_managers as managers
from eventd_handlers import containers_stores as stores
from eventd_handlers import health_verify as verify
from eventd_handlers import updates as images
from eventd_handlers import workloads_renaming as renaming
from eventd_handlers import workloads_units as units

HANDLERS: Mapping[type[Action], Handler] = {
    actions.CreateAccount: accounts.create,
    actions.AdoptAccount: accounts.adopt,
    actions.CompleteAccount: accounts.complete,
    actions.InspectStore: accounts.inspect_store,
    actions.PutFile: files.put,
    actions.RemoveFile: files.remove,
    actions.EnableLinger: managers.enable_linger,
    actions.DisableLinger: managers.disable_linger,
    actions.StartManager: managers.start,
    actions.StopManager: managers.stop,
    actions.Reload: managers.reload,
    actions.Orphan: managers.orphan,
    actions.DeleteAccount: deletion.delete_account,
    actions.ResetStore: stores.reset_store,
    actions.RenameAccount: renaming.rename_account,
    actions.StopUnit: units.stop,
    actions.StartUnit: units.start,
    actions.RestartUnit: units.restart,
    actions.RecordFiles: units.record_files,
    actions.Verify: verify.verify,
    actions.PullImages: images.pull,
    actions.TagImages: images.tag,
}
