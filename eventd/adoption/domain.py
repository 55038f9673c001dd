"""The adoption domain: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.adoption import routes as routes_adopt
from eventd.adoption.adapter_account import NoAccountInspector, SystemAccountInspector
from eventd.adoption.model_action_table import ACTIONS
from eventd.adoption.model_actions import AdoptAccount, InspectStore
from eventd.adoption.model_events import AdoptionEvent
from eventd.adoption.model_facts import AdoptionFact
from eventd.adoption.ports import AccountInspector
from eventd.kernel.domain import Context, Domain, PolicyRow, Source, Stage
from eventd.platform.processes.unit_process import Processes
from eventd_handlers import accounts
from eventd_policies.adoption_volumes_beside import volumes_beside


def connect(context: Context) -> Iterable[Source]:
    """Share what looks into the accounts of others."""
    inspector = SystemAccountInspector(context.need(Processes)) if context.local else NoAccountInspector()
    context.share(AccountInspector, inspector)
    return ()


DOMAIN = Domain(
    name="adoption",
    facts=(AdoptionFact,),
    events=(AdoptionEvent,),
    actions=ACTIONS,
    policies=(PolicyRow(Stage.CONDITION, lambda _host: volumes_beside),),
    routes=routes_adopt.ROUTES,
    handlers={AdoptAccount: accounts.adopt, InspectStore: accounts.inspect_store},
    connect=connect,
)
