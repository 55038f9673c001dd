"""Renames: distinguishes a renamed workload from a removed and an added one.

Pure. `git mv workloads/a workloads/b` changes no file, and a workload's digest does not include its name. So a new
workload with the content of a removed one may be the same workload. Whether it gets that one's data is not guessed: it
is held until `renamed_from` in its `workload.toml` says so. `renamed_from = "a"` takes over account and data,
`renamed_from = ""` starts fresh. On a host that never had `a`, or where the workload already has an account, the key
has no effect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eventd.desired.model import Desired
from eventd.removal.model_facts import RenameState


def find(desired: Desired, left: Mapping[str, str], recorded: Collection[str]) -> Mapping[str, RenameState]:
    """Return which workloads are renamed, or may be, by their new names.

    `left`: name -> last digest, of the workloads that left the repository and whose account eventd has.
    `recorded`: every workload that has an account.
    """
    found: dict[str, RenameState] = {}
    claimed: dict[str, list[str]] = {}
    for name, workload in desired.workloads.items():
        if name in recorded:
            continue
        said = workload.options.renamed_from
        if said is None:
            same = tuple(sorted(old for old, digest in left.items() if digest and digest == workload.digest))
            if same:
                found[name] = RenameState(same)
        elif said.text in left:
            claimed.setdefault(said.text, []).append(name)
            found[name] = RenameState((said.text,), declared=True)
        elif said.text in desired.workloads or said.text in desired.refused:
            if said.text in recorded:
                problem = (
                    f"{said.file}:{said.line}: {said.text} is still in the repository, and has its account"
                )
                found[name] = RenameState((said.text,), declared=True, problem=problem)
    for old, names in claimed.items():
        if len(names) > 1:
            problem = f"{' and '.join(sorted(names))} all say renamed_from = {old!r}; it had one account"
            found |= {name: RenameState((old,), declared=True, problem=problem) for name in names}
    return found
