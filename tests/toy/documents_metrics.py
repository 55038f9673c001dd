"""The metric: how high the sea is."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.queries import Queries
from tests.toy.model_facts import LEVEL


def families(queries: Queries) -> Iterator[Metric]:
    """Yield the family."""
    level = queries.facts.get(LEVEL)
    yield GaugeMetricFamily("toy_sea_metres", "How high the sea is", value=float(str(level or 0)))
