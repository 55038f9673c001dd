"""Prometheus metrics, read from the runtime's counters at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from eventd import __version__
from eventd.kernel.model.report import BY_PERSON, WorkloadState
from eventd.queries import Queries

Families: TypeAlias = Callable[[Queries], Iterable[Metric]]
"""Yields what a domain counts: `Domain.metrics`."""


class Metrics(Collector):
    """A collector over the queries of one engine; `families`: those of the domains."""

    def __init__(self, queries: Queries, families: Sequence[Families] = ()) -> None:
        self._queries = queries
        self._families = families
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: families are made at the scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        q = self._queries
        c = q.counters
        yield InfoMetricFamily("eventd", "The daemon", value={"version": __version__})
        for name, text, value in (
            ("eventd_runs", "Runs", c.runs),
            ("eventd_runs_failed", "Runs in which any workload failed or was refused", c.runs_failed),
            ("eventd_workload_failures", "Failed workloads, summed over runs", c.workload_failures),
            ("eventd_checks", "Checks of dirty workloads that found nothing to do", c.checks),
            ("eventd_triggers_during_run", "Triggers during a run", c.contended),
            ("eventd_triggers_coalesced", "Triggers that joined a waiting one", q.coalesced),
            ("eventd_lock_contended", "Waits for a run of another process", q.lock_contended),
            ("eventd_events", "Events received", q.sequence),
        ):
            yield CounterMetricFamily(name, text, value=value)
        states = GaugeMetricFamily("eventd_workloads", "Workloads by state", labels=["state"])
        rows = {name: q.status(name) for name in q.names()}
        for state in WorkloadState:
            states.add_metric([state.value], sum(s.state is state for s in rows.values()))
        yield states
        up = GaugeMetricFamily("eventd_workload_converged", "1: as the repository says", labels=["workload"])
        for name, status in sorted(rows.items()):
            fine = status.state in (WorkloadState.CONVERGED, WorkloadState.AT_RISK, WorkloadState.REMOVED)
            up.add_metric([name], float(fine))
        yield up
        held = GaugeMetricFamily(
            "eventd_workload_held", "1: held; nothing has failed", labels=["workload", "reason", "by"]
        )
        for name, status in sorted(rows.items()):
            if status.state is WorkloadState.HELD:
                by = "person" if status.reason in BY_PERSON else "host"
                held.add_metric([name, status.reason, by], 1.0)
        yield held
        last = q.last_run
        if last is not None and last.ended is not None:
            yield GaugeMetricFamily(
                "eventd_last_run_timestamp_seconds", "End of the last run", value=last.ended
            )
            yield GaugeMetricFamily(
                "eventd_last_run_success", "1: the last run was ok", value=float(last.result.value == "ok")
            )
            yield GaugeMetricFamily(
                "eventd_last_run_duration_seconds",
                "Length of the last run",
                value=last.ended - last.started,
            )
        for families in self._families:
            yield from families(q)
