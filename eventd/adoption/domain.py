"""The adoption domain: what it adds to eventd."""

from __future__ import annotations

from eventd.adoption import routes as routes_adopt
from eventd.adoption.model_action_table import ACTIONS
from eventd.adoption.model_actions import AdoptAccount, InspectStore
from eventd.adoption.model_events import AdoptionEvent
from eventd.adoption.model_facts import AdoptionFact
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_handlers import accounts
from eventd_policies.adoption_volumes_beside import volumes_beside

DOMAIN = Domain(
    name="adoption",
    facts=(AdoptionFact,),
    events=(AdoptionEvent,),
    actions=ACTIONS,
    policies=(PolicyRow(Stage.CONDITION, lambda _host: volumes_beside),),
    routes=routes_adopt.ROUTES,
    handlers={AdoptAccount: accounts.adopt, InspectStore: accounts.inspect_store},
)
