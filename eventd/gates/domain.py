"""The domain gates: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.files.source_watched import WatchedFiles
from eventd.gates.adapter_prober import ProberProcess, starter
from eventd.gates.model_events import GateEvent, GateOrigin
from eventd.gates.model_facts import GateFact
from eventd.gates.source_needs import Needs
from eventd.gates.source_probes import ProbesSource
from eventd.health.source import ContainerHealthSource
from eventd.kernel.domain import Context, Domain, PolicyRow, Source, Stage
from eventd.platform.processes.unit_process import Processes
from eventd.platform.systemd.source import SystemSource
from eventd.updates.source_image_store import ImageStoreSource
from eventd_policies.gates import gates


def connect(context: Context) -> Iterable[Source]:
    """Probe what gates ask for, and tell each source which facts they mention."""
    probes = ProbesSource(context.emit, ProberProcess(starter(context.need(Processes))))
    needs = Needs(
        context.facts,
        context.need(SystemSource),
        context.need(WatchedFiles),
        context.need(ContainerHealthSource),
        probes,
        context.need(ImageStoreSource),
    )
    context.share(Needs, needs)
    return (Source("probes", probes.run, probes.state),)


DOMAIN = Domain(
    name="gates",
    facts=(GateFact,),
    events=(GateEvent,),
    origins=(GateOrigin,),
    policies=(PolicyRow(Stage.GATE, lambda _host: gates),),
    connect=connect,
)
