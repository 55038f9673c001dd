"""Metrics of how well workloads are."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventd.health.model_expectations import UNHEALTHY
from eventd.kernel.model.report import WorkloadState
from eventd.queries import Queries


def families(q: Queries) -> Iterator[Metric]:
    """Yield the families."""
    rows = {name: q.status(name) for name in q.names()}
    unhealthy = GaugeMetricFamily(
        "eventd_workload_unhealthy", "1: up, but its health condition is not met", labels=["workload"]
    )
    for name, status in sorted(rows.items()):
        unhealthy.add_metric([name], float(status.reason == UNHEALTHY))
    yield unhealthy
    risk = GaugeMetricFamily(
        "eventd_workload_at_risk", "1: up, but could not start again", labels=["workload"]
    )
    for name, status in sorted(rows.items()):
        risk.add_metric([name], float(status.state is WorkloadState.AT_RISK))
    yield risk
    crashes = CounterMetricFamily(
        "eventd_workload_crashes",
        "Units that ended by themselves after they were up",
        labels=["workload"],
    )
    for name in sorted(rows):
        crashes.add_metric([name], float(q.crash_count(name)))
    yield crashes
