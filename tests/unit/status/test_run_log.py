"""Scope: the lines about a run in the journal."""

from __future__ import annotations

import logging

import pytest

from eventd.daemon import log_run
from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadReport


def _run(result: RunResult, *workloads: WorkloadReport, commit: str = "a" * 40, error: str = "") -> RunReport:
    return RunReport(7, 10.0, commit, (), ended=12.5, result=result, workloads=workloads, error=error)


def test_a_workload_is_logged_at_the_level_of_its_own_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """What only waits is a warning, though another workload of the run has failed."""
    caplog.set_level(logging.DEBUG, "eventd")
    waits = WorkloadReport("photos", Outcome.HELD, "volume-away", "volume media is not attached")
    broken = WorkloadReport("web", Outcome.FAILED, "start-failed", "web.service did not start")
    log_run(_run(RunResult.FAILED, waits, broken))
    assert [(each.levelname, each.message.partition(":")[0]) for each in caplog.records] == [
        ("ERROR", "run 7"),
        ("WARNING", "photos"),
        ("ERROR", "web"),
    ]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (_run(RunResult.OK), "run 7: ok at aaaaaaaaaaaa in 2.50 s"),
        (
            _run(RunResult.FAILED, commit="", error="cannot fetch from x"),
            "run 7: failed in 2.50 s: cannot fetch from x",
        ),
    ],
)
def test_the_line_of_a_run_has_no_empty_places(
    caplog: pytest.LogCaptureFixture, report: RunReport, line: str
) -> None:
    """A run before the first commit has none to name."""
    caplog.set_level(logging.DEBUG, "eventd")
    log_run(report)
    assert caplog.messages == [line]
