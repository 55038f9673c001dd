"""Metrics of approvals."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.approvals.model import OPEN
from eventd.queries import Queries


def families(q: Queries) -> Iterator[Metric]:
    """Yield the families."""
    asked = GaugeMetricFamily("eventd_approvals", "Open requests for a signature", labels=["state"])
    for each in OPEN:
        asked.add_metric([each.value], float(sum(request.state is each for request in q.approvals)))
    yield asked
