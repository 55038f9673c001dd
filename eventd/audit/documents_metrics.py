"""Metrics of the audit."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.reconciler import Reconciler
from eventd.status import documents


def families(r: Reconciler) -> Iterator[Metric]:
    """Yield the families."""
    rows = documents.names(r)
    wrong = GaugeMetricFamily(
        "eventd_provenance_findings", "What an audit finds wrong with the units", labels=["workload"]
    )
    for name in sorted(rows):
        wrong.add_metric([name], float(len(r.alarms.rows.get(name, ()))))
    yield wrong
