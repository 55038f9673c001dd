"""The toy domain: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.kernel.domain import Built, Context, Domain, PolicyRow, Source, Stage
from tests.toy.controller import BarrierController
from tests.toy.documents_metrics import families
from tests.toy.handler import BarrierHandler
from tests.toy.model_action_table import ACTIONS, MoveBarrier
from tests.toy.model_facts import SeaEvent, SeaFact, SeaOrigin
from tests.toy.policy import clear_of_ships
from tests.toy.routes import ROUTES
from tests.toy.sea import SEAS, Sea
from tests.toy.settings import TABLES, Barrier
from tests.toy.source import GaugeSource


def connect(context: Context) -> Iterable[Source]:
    """Make the source over the sea that the settings name, and share the sea."""
    sea = context.share(Sea, SEAS[context.settings.table(Barrier).gauge])
    return (Source("gauge", GaugeSource(sea, context.emit).run),)


def build(context: Context) -> Built:
    """Make the controller, and the handler over the sea."""
    return Built(
        controllers=(BarrierController(context.facts, context.settings.table(Barrier).limit),),
        handlers={MoveBarrier: BarrierHandler(context.need(Sea)).move},
    )


DOMAIN = Domain(
    name="toy",
    facts=(SeaFact,),
    events=(SeaEvent,),
    origins=(SeaOrigin,),
    actions=ACTIONS,
    policies=(PolicyRow(Stage.CONDITION, lambda _host: clear_of_ships),),
    settings=TABLES,
    routes=ROUTES,
    metrics=(families,),
    connect=connect,
    build=build,
)
