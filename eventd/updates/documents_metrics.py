"""Metrics of updates."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.queries import Queries
from eventd.updates.documents import results


def families(q: Queries) -> Iterator[Metric]:
    """Yield the families."""
    updated = GaugeMetricFamily(
        "eventd_update_failed",
        "1: the last update of its images failed",
        labels=["workload"],
    )
    for name, result in results(q).items():
        updated.add_metric([name], float(not result.ok))
    yield updated
