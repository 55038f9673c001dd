"""The files domain: what it adds to eventd."""

from __future__ import annotations

from eventd.configured import layout_of
from eventd.files.model_action_table import ACTIONS
from eventd.files.model_actions import PutFile, RemoveFile
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_handlers import files
from eventd_policies.files_ownership import Ownership

DOMAIN = Domain(
    name="files",
    actions=ACTIONS,
    policies=(PolicyRow(Stage.OWNERSHIP, lambda host: Ownership(layout_of(host.settings))),),
    handlers={PutFile: files.put, RemoveFile: files.remove},
)
