"""Metrics of the fetch."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.desired.controller_activation import FETCH
from eventd.queries import Queries


def families(q: Queries) -> Iterator[Metric]:
    """Yield the families."""
    yield GaugeMetricFamily("eventd_fetch_failing", "1: the last fetch failed", value=float(FETCH in q.facts))
