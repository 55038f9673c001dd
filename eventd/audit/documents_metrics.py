"""Metrics of the audit."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.queries import Queries


def families(q: Queries) -> Iterator[Metric]:
    """Yield the families."""
    rows = q.names()
    wrong = GaugeMetricFamily(
        "eventd_provenance_findings", "Findings of the audit of units", labels=["workload"]
    )
    for name in sorted(rows):
        wrong.add_metric([name], float(len(q.alarms(name))))
    yield wrong
