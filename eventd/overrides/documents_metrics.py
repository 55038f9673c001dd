"""Metrics of suspensions and rollbacks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.queries import Queries


def families(q: Queries) -> Iterator[Metric]:
    """Yield the families."""
    rows = q.names()
    suspended = GaugeMetricFamily("eventd_workload_suspended", "1: suspended", labels=["workload"])
    back = GaugeMetricFamily(
        "eventd_workload_rolled_back",
        "1: another revision than the repository's is active",
        labels=["workload", "automatic"],
    )
    for name in sorted(rows):
        suspended.add_metric([name], float(q.suspension_of(name) is not None))
        order = q.rollback_of(name)
        if order is not None:
            back.add_metric([name, "true" if order.automatic else "false"], 1.0)
    yield suspended
    yield back
