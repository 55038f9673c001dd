"""The JSON of retained accounts. Times are seconds since the epoch."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from eventd.approvals.model import OPEN
from eventd.desired.model import RemoveData
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, PlatformFact
from eventd.queries import Queries
from eventd.removal.controller import PREFIX
from eventd.removal.model import Removal, Stage


class RetainedAccount(TypedDict):
    """The retained account of a removed workload; the size of its home is included when one is requested by name."""

    name: str
    since: float | None
    commit: str
    data: RemoveData
    said_by: str
    uid: int
    home: str
    ownership: str
    deletion: str
    approval: str
    files: NotRequired[int]
    bytes: NotRequired[int]
    complete: NotRequired[bool]
    top: NotRequired[list[str]]


class Retained(TypedDict):
    """GET /v1/retained."""

    retained: list[RetainedAccount]


def retained(queries: Queries) -> list[RetainedAccount]:
    """Return GET /v1/retained: the accounts of removed workloads, by name."""
    names = {name for name, record in queries.records.workloads.items() if record.retained}
    names |= {name for name, row in queries.removals.items() if row.stage is not Stage.NONE}
    return [_retained(queries, name) for name in sorted(names)]


def _retained(queries: Queries, name: str) -> RetainedAccount:
    row = queries.removals.get(name) or Removal()
    record = queries.record(name)
    account = queries.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    waiting = [r for r in queries.approvals if r.subject == PREFIX + name and r.state in OPEN]
    return {
        "name": name,
        "since": row.since or None,
        "commit": row.commit,
        "data": row.data,
        "said_by": row.said_by,
        "uid": record.uid if record is not None else row.uid,
        "home": account.home if isinstance(account, Account) else row.home,
        "ownership": record.ownership.value if record is not None else "",
        "deletion": row.stage.value or ("held" if waiting else ""),
        "approval": waiting[0].id if waiting else "",
    }
