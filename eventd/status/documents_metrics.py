"""Prometheus metrics, read from the runtime's counters at the moment of the scrape: nothing is kept twice."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from eventd import __version__
from eventd.approvals.model import OPEN
from eventd.desired.controller_activation import FETCH
from eventd.health.model_expectations import UNHEALTHY
from eventd.kernel.model.report import BY_PERSON, WorkloadState
from eventd.reconciler import Reconciler
from eventd.status import documents, documents_workload
from eventd.updates.documents import results


class Metrics(Collector):
    """A collector over one reconciler."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: every family is made at the scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        r = self._reconciler
        c = r.runs.counters
        yield InfoMetricFamily("eventd", "The daemon", value={"version": __version__})
        for name, text, value in (
            ("eventd_runs", "Runs of the reconciler", c.runs),
            ("eventd_runs_failed", "Runs in which any workload failed or was refused", c.runs_failed),
            ("eventd_workload_failures", "Failed workloads, summed over runs", c.workload_failures),
            ("eventd_checks", "Looks at dirty workloads that found nothing to do", c.checks),
            ("eventd_triggers_during_run", "Triggers that came while a run was on", c.contended),
            ("eventd_triggers_coalesced", "Triggers that joined others that were waiting", r.queue.coalesced),
            ("eventd_lock_contended", "Waits for another process's run", r.host.lock.contended),
            ("eventd_events", "Events taken in", r.dispatcher.sequence),
        ):
            yield CounterMetricFamily(name, text, value=value)
        states = GaugeMetricFamily("eventd_workloads", "Workloads by state", labels=["state"])
        rows = {n: documents_workload.status_of(r, n) for n in documents.names(r)}
        for state in WorkloadState:
            states.add_metric([state.value], sum(s.state is state for s in rows.values()))
        yield states
        up = GaugeMetricFamily("eventd_workload_converged", "1: as the repository says", labels=["workload"])
        for name, status in sorted(rows.items()):
            fine = status.state in (WorkloadState.CONVERGED, WorkloadState.AT_RISK, WorkloadState.REMOVED)
            up.add_metric([name], float(fine))
        yield up
        held = GaugeMetricFamily(
            "eventd_workload_held", "1: it waits, and nothing has failed", labels=["workload", "reason", "by"]
        )
        for name, status in sorted(rows.items()):
            if status.state is WorkloadState.HELD:
                by = "person" if status.reason in BY_PERSON else "host"
                held.add_metric([name, status.reason, by], 1.0)
        yield held
        ill = GaugeMetricFamily(
            "eventd_workload_unhealthy", "1: up, and not what it expects of itself", labels=["workload"]
        )
        for name, status in sorted(rows.items()):
            ill.add_metric([name], float(status.reason == UNHEALTHY))
        yield ill
        risk = GaugeMetricFamily(
            "eventd_workload_at_risk", "1: up, and would not start again", labels=["workload"]
        )
        for name, status in sorted(rows.items()):
            risk.add_metric([name], float(status.state is WorkloadState.AT_RISK))
        yield risk
        crashes = CounterMetricFamily(
            "eventd_workload_crashes",
            "Units that ended by themselves after they had been up",
            labels=["workload"],
        )
        for name in sorted(rows):
            crashes.add_metric([name], float(r.wellbeing.crashes.get(name, 0)))
        yield crashes
        wrong = GaugeMetricFamily(
            "eventd_provenance_findings", "What an audit finds wrong with the units", labels=["workload"]
        )
        for name in sorted(rows):
            wrong.add_metric([name], float(len(r.alarms.rows.get(name, ()))))
        yield wrong
        suspended = GaugeMetricFamily(
            "eventd_workload_suspended", "1: nothing of it is touched", labels=["workload"]
        )
        back = GaugeMetricFamily(
            "eventd_workload_rolled_back",
            "1: another revision than the repository's is in force",
            labels=["workload", "automatic"],
        )
        for name in sorted(rows):
            suspended.add_metric([name], float(r.overrides.suspension_of(name) is not None))
            order = r.overrides.rollback_of(name)
            if order is not None:
                back.add_metric([name, "true" if order.automatic else "false"], 1.0)
        yield suspended
        yield back
        updated = GaugeMetricFamily(
            "eventd_update_failed",
            "1: the last update of its images failed, and no good one came after it",
            labels=["workload"],
        )
        for name, result in results(r).items():
            updated.add_metric([name], float(not result.ok))
        yield updated
        asked = GaugeMetricFamily("eventd_approvals", "Open requests for a signature", labels=["state"])
        requests = r.approvals.requests.rows.values()
        for each in OPEN:
            asked.add_metric([each.value], float(sum(request.state is each for request in requests)))
        yield asked
        yield GaugeMetricFamily(
            "eventd_fetch_failing", "1: the last fetch failed", value=float(FETCH in r.dispatcher.facts)
        )
        if r.last is not None and r.last.ended is not None:
            yield GaugeMetricFamily(
                "eventd_last_run_timestamp_seconds", "End of the last run", value=r.last.ended
            )
            yield GaugeMetricFamily(
                "eventd_last_run_success", "1: the last run was ok", value=float(r.last.result.value == "ok")
            )
            yield GaugeMetricFamily(
                "eventd_last_run_duration_seconds",
                "Length of the last run",
                value=r.last.ended - r.last.started,
            )
