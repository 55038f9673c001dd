"""Ownership: eventd overwrites only files that it has written. One without a record at a wanted path is a conflict."""

from __future__ import annotations

from eventd.files.model_actions import PutFile
from eventd.kernel.model.verdicts import ALLOW, Deny, Verdict
from eventd.platform.model_facts import FileKind
from eventd.workloads.model_case import Case
from eventd.workloads.model_layout import Layout


class Ownership:
    """The policy, for one layout."""

    def __init__(self, layout: Layout) -> None:
        """Take the layout of installed files."""
        self._layout = layout

    def __call__(self, case: Case) -> Verdict:
        """Deny overwriting a file without a record, unless its content is already the wanted one."""
        action, account = case.action, case.seen.account
        if not isinstance(action, PutFile) or account is None:
            return ALLOW
        path = self._layout.path(action.file, account.uid)
        state = case.seen.files.get(path)
        if state is None or case.records.file(action.workload, path) is not None:
            return ALLOW
        if state.kind is FileKind.REGULAR and state.digest == action.file.digest:
            return ALLOW
        return Deny(
            "file-exists",
            f"{path} exists and was not written by eventd",
            f"move it away; eventd then installs the one from {action.file.origin}",
        )
