"""Handlers: how each kind of action is carried out. Thin where they touch the world, and they decide nothing.

To add one: an action in `eventd.core.actions`, a function here, a line in `HANDLERS`.
"""

from collections.abc import Mapping

from eventd.core import actions
from eventd.kernel.action import Action
from eventd.runtime.transaction import Handler
from eventd_handlers import accounts, deletion, files, images, managers, renaming, stores, units, verify

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
    actions.Retain: managers.retain,
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
