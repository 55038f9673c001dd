"""Approvals in the repository: `approvals/NAME.json` with `approvals/NAME.json.sig` (or `NAME.sig`) beside it.

Pure. Finds the pairs and reports what is malformed, for `eventctl check`. Signatures are verified by
`eventd.approvals.controller`, on the host that they are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.approvals import model as approvals
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.desired.model import Tree

FOLDER = "approvals"
HEAD = b"-----BEGIN SSH SIGNATURE-----"


@dataclass(frozen=True, slots=True)
class Signed:
    """A document and the signature beside it."""

    path: str
    document: bytes
    signature: bytes


def committed(tree: Tree) -> tuple[tuple[Signed, ...], tuple[Diagnostic, ...]]:
    """Return the pairs, sorted by path, and the findings in the folder (warnings, which refuse no workload)."""
    pairs: list[Signed] = []
    findings: list[Diagnostic] = []
    names = sorted(path for path in tree.files if path.startswith(f"{FOLDER}/"))
    taken: set[str] = set()
    for path in names:
        if not path.endswith(".json"):
            continue
        document = tree.files[path].content
        signature = next((p for p in (f"{path}.sig", f"{path[:-5]}.sig") if p in tree.files), None)
        taken |= {path} if signature is None else {path, signature}
        try:
            approvals.read(document)
        except PermanentError as error:
            findings.append(_finding(path, _line(document), error.message, error.hint))
            continue
        if signature is None:
            hint = f"ssh-keygen -Y sign -n {approvals.NAMESPACE} -f KEY {path}"
            findings.append(_finding(path, 0, "it is not signed", hint))
        elif not tree.files[signature].content.startswith(HEAD):
            findings.append(_finding(signature, 1, "it is not an ssh-keygen signature", ""))
        elif len(tree.files[signature].content) > approvals.MAX_SIGNATURE:
            findings.append(_finding(signature, 0, f"it has more than {approvals.MAX_SIGNATURE} bytes", ""))
        else:
            pairs.append(Signed(path, document, tree.files[signature].content))
    findings.extend(
        _finding(path, 0, "the signed document is missing beside it", f"add {path[:-4]}")
        for path in names
        if path not in taken and path.endswith(".sig")
    )
    for path, why in tree.refused.items():
        if path == FOLDER or path.startswith(f"{FOLDER}/"):
            findings.append(_finding(path, 0, f"it is refused: {why}", "replace it with a regular file"))
    return tuple(pairs), tuple(findings)


def _line(document: bytes) -> int:
    """Return the line where a document stops being one line of JSON that ends with a newline."""
    return 1 if document.count(b"\n") <= 1 else 2


def _finding(path: str, line: int, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, path, line, "", message, hint, "bad-approval")
