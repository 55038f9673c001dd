"""Scope: `eventctl status`, `why`, `runs`, `plan`, `metrics`: text, JSON and exit codes, on a fake daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cli_runner import Result, eventctl
from tests.unit.cli.fake_daemon import (
    COMMIT,
    NOW,
    Answer,
    FakeDaemon,
    error,
    run,
    short_path,
    status,
    unit,
    workload,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return short_path(tmp_path)


def ask(path: str, request: str, document: Any, *argv: str, code: int = 200, **options: Any) -> Result:
    """Run a command against a daemon with one answer."""
    with FakeDaemon(path, {request: Answer(document, code)}):
        return eventctl(*argv, "--socket", path, **options)


BROKEN = workload(
    "db",
    "failed",
    reason="image-pull-failed",
    message="db.service did not start: the image cannot be pulled",
    hint="check the image name",
    commit="",
    units=[
        unit("db.service", active="failed", sub="failed", result="exit-code", restarts=5),
        unit("db-net.service"),
    ],
    log=["Error: initializing source \x1b[31mdocker://x\x1b[0m", "two\nlines"],
    attempts=3,
    retry_at=NOW + 30,
)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("converged", 0),
        ("converging", 1),
        ("degraded", 1),
        ("held", 4),
        ("failed", 1),
        ("starting", 1),
        ("stopping", 1),
        ("something-new", 1),
    ],
)
def test_the_exit_code_follows_the_state_of_the_host(path: str, state: str, code: int) -> None:
    """Only `converged` is 0, only `held` is 4; a state this client does not know is not success."""
    assert ask(path, "GET /v1/status", status(state), "status").code == code


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("converged", 0),
        ("removed", 0),
        ("held", 4),
        ("applying", 1),
        ("verifying", 1),
        ("pending", 1),
        ("failed", 1),
        ("refused", 1),
    ],
)
def test_the_exit_code_follows_the_state_of_a_workload(path: str, state: str, code: int) -> None:
    """The same for one workload, where removed is as wanted."""
    assert ask(path, "GET /v1/status/web", workload("web", state), "status", "web").code == code


def test_a_converged_host_reads_in_a_few_lines(path: str) -> None:
    """Host, revision, last run and a table of workloads; nothing that asks for attention."""
    result = ask(path, "GET /v1/status", status("converged", workload("web"), workload("api")), "status")
    assert result.out == (
        "alpha: converged for 2 min, at 1a2b3c4d5e\n"
        "https://git.example/homelab.git, branch main\n"
        "last run 12: ok 2 min ago in 3.2 s, at 1a2b3c4d5e, because of webhook pushed main\n"
        "\n"
        "WORKLOAD  STATE      SINCE      COMMIT      UNITS\n"
        "api       converged  2 min ago  1a2b3c4d5e  1/1\n"
        "web       converged  2 min ago  1a2b3c4d5e  1/1\n"
    )


def test_what_failed_comes_first_and_in_full(path: str) -> None:
    """A failing workload is told with reason, hint, bad units and journal, before those that are fine."""
    result = ask(path, "GET /v1/status", status("degraded", workload("api"), BROKEN), "status")
    assert (
        "db: failed for 2 min, wanted 1a2b3c4d5e\n"
        "  image-pull-failed: db.service did not start: the image cannot be pulled\n"
        "  hint: check the image name\n"
        "  attempt 3 failed, next try in 30 s\n"
        "  UNIT        WANTED   IS      SINCE      RESULT     RESTARTS  INVOCATION\n"
        "  db.service  running  failed  2 min ago  exit-code  5         abcdef012345\n"
        "  | Error: initializing source docker://x\n"
        "  | two\n"
        "  | lines\n"
    ) in result.out
    assert result.out.index("db: failed") < result.out.index("api ")
    assert "db-net.service" not in result.out


def test_a_long_journal_is_shortened_in_the_overview_alone(path: str) -> None:
    """The overview has the last lines and the command for all; `status WORKLOAD` has all."""
    noisy = workload("web", "failed", log=[f"line {number}" for number in range(20)])
    overview = ask(path, "GET /v1/status", status("degraded", noisy), "status").out
    assert "  | (12 earlier lines: eventctl status web)\n  | line 12\n" in overview
    assert overview.endswith("  | line 19\n")
    assert "  | line 0\n" in ask(path, "GET /v1/status/web", noisy, "status", "web").out


def test_one_workload_is_shown_with_all_its_units(path: str) -> None:
    """`status WORKLOAD` lists units that are fine too, and the uid."""
    result = ask(path, "GET /v1/status/db", BROKEN, "status", "db")
    assert "  uid 1001\n" in result.out
    assert "db-net.service" in result.out
    assert result.out.count("initializing source") == 1


def test_a_unit_that_restarts_again_and_again_is_not_as_wanted(path: str) -> None:
    """With Restart=always a bad unit is `activating (auto-restart)`, and is shown as such."""
    looping = unit("web.service", active="activating", sub="auto-restart", restarts=7)
    result = ask(
        path, "GET /v1/status", status("degraded", workload("web", "verifying", units=[looping])), "status"
    )
    assert "activating (auto-restart)" in result.out


@pytest.mark.parametrize(
    ("active", "sub"),
    [
        ("activating", "auto-restart"),
        ("activating", "auto-restart-queued"),
        ("inactive", "dead-before-auto-restart"),
        ("failed", "failed-before-auto-restart"),
    ],
)
def test_no_state_between_two_automatic_restarts_is_as_wanted(path: str, active: str, sub: str) -> None:
    """Whichever the unit is caught in, also one that need not be active."""
    looping = unit("job.service", wanted="on-demand", active=active, sub=sub)
    answer = status("degraded", workload("web", "verifying", units=[looping]))
    assert f"{active} ({sub})" in ask(path, "GET /v1/status", answer, "status").out


def test_an_on_demand_unit_need_not_be_active(path: str) -> None:
    """A unit that a timer starts counts as wanted while it is inactive, but not when it failed."""
    idle = unit("job.service", wanted="on-demand", active="inactive", sub="dead")
    failed = unit("job2.service", wanted="on-demand", active="failed", sub="failed")
    result = ask(
        path, "GET /v1/status", status("converged", workload("jobs", units=[idle, failed])), "status"
    )
    assert "1/2" in result.out


def test_a_held_workload_says_what_it_waits_for(path: str) -> None:
    """The missing facts are named as the operator wrote them."""
    held = workload("photos", "held", waits_for=["mount:/srv/photos", "unit:x.service"])
    result = ask(path, "GET /v1/status", status("held", held), "status")
    assert result.code == 4
    assert "  waits for mount:/srv/photos, unit:x.service\n" in result.out


def test_a_failed_fetch_is_told_although_all_is_converged(path: str) -> None:
    """Converged towards an old revision is said to be that."""
    failure = {
        "reason": "fetch-failed",
        "message": "no route",
        "hint": "check the network",
        "since": NOW - 3600,
    }
    result = ask(path, "GET /v1/status", status(fetch_failure=failure), "status")
    assert "cannot fetch for 1 h: fetch-failed: no route\n  hint: check the network\n" in result.out


def test_a_refused_workload_is_told_once(path: str) -> None:
    """Its findings are the reason: the daemon's summary of the first one is not repeated above them."""
    finding = {"severity": "error", "file": "f.container", "line": 1, "message": "no Image", "hint": "add it"}
    refused = workload(
        "web", "refused", reason="x", message="no Image", hint="add it", diagnostics=[finding], commit=""
    )
    result = ask(path, "GET /v1/status/web", refused, "status", "web")
    assert result.out.count("no Image") == 1
    assert result.out.count("add it") == 1


def test_who_asked_is_named_before_the_echo_of_the_work(path: str) -> None:
    """Of many triggers the telling ones are shown, the others counted."""
    echo = [{"origin": "inotify", "kind": "file-changed", "subject": f"/{n}"} for n in range(5)]
    asked = {"origin": "request", "kind": "sync", "subject": "eventctl"}
    result = ask(path, "GET /v1/runs", {"runs": [run(triggers=[*echo, asked])]}, "runs")
    assert "request sync eventctl, inotify file-changed /0 and 4 more\n" in result.out


def test_what_is_wrong_with_the_daemon_itself_is_shown(path: str) -> None:
    """A source that is down, or a configuration that was refused: with its name, its reason, and what to do."""
    trouble = {
        "name": "configuration",
        "reason": "bad-configuration",
        "message": "eventd.toml:3: [hots] is no table",
        "hint": "did you mean [host]?",
    }
    result = ask(path, "GET /v1/status", status("degraded", troubles=[trouble]), "status")
    assert "configuration: bad-configuration: eventd.toml:3: [hots] is no table" in result.out
    assert "did you mean [host]?" in result.out


def test_a_commit_that_cannot_be_used_is_told(path: str) -> None:
    """A repository that cannot be read as a whole is a problem of the host, not of a workload."""
    error_ = {"reason": "bad-object", "message": "the tree cannot be read", "hint": "push again"}
    result = ask(path, "GET /v1/status", status("failed", load_error=error_), "status")
    assert (
        "cannot use the repository: bad-object: the tree cannot be read\n  hint: push again\n" in result.out
    )


def test_the_step_at_hand_is_shown(path: str) -> None:
    """A workload that is being worked on says at what."""
    busy = workload("web", "applying", step="start web.service")
    result = ask(path, "GET /v1/status", status("converging", busy), "status")
    assert "web: applying for 2 min, at 1a2b3c4d5e\n  now: start web.service\n" in result.out


def test_findings_about_the_repository_are_told(path: str) -> None:
    """Diagnostics are shown as file:line with their remedy."""
    finding = {
        "severity": "error",
        "file": "workloads/web/web.container",
        "line": 3,
        "key": "Container/Imgae",
        "message": "unknown key",
        "hint": "did you mean Image?",
        "code": "unknown-key",
    }
    result = ask(path, "GET /v1/status", status("failed", diagnostics=[finding]), "status")
    line = (
        "workloads/web/web.container:3: error: [Container/Imgae] unknown key\n  hint: did you mean Image?\n"
    )
    assert line in result.out


def test_the_current_run_is_shown(path: str) -> None:
    """A run that is on is named with what led to it and for how long it has been on."""
    result = ask(path, "GET /v1/status", status("converging", run=run(13, "running", ended=None)), "status")
    assert (
        "now: run 13: running started 2 min ago, at 1a2b3c4d5e, because of webhook pushed main\n"
        in result.out
    )


def test_a_terminal_gets_colours_and_a_pipe_none(path: str) -> None:
    """Colours are painted for a terminal only."""
    document = status("degraded", BROKEN)
    assert (
        "\x1b[31mfailed\x1b[0m" in ask(path, "GET /v1/status", document, "status", tty=True, colour=True).out
    )
    assert "\x1b" not in ask(path, "GET /v1/status", document, "status").out


def test_lines_fit_a_narrow_terminal(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal sentences are wrapped to its width."""
    monkeypatch.setenv("COLUMNS", "40")
    result = ask(path, "GET /v1/status", status("degraded", BROKEN), "status", tty=True)
    said = [line for line in result.out.splitlines() if "image" in line]
    assert said
    assert all(len(line) <= 40 for line in said)
    assert "  hint: check the image name" in said, "it shows whose hint it is"


def test_an_empty_or_older_answer_is_no_traceback(path: str) -> None:
    """Fields that are missing are left out."""
    assert ask(path, "GET /v1/status", {"state": "starting"}, "status").code == 1


@pytest.mark.parametrize(
    ("request_", "document", "argv"),
    [
        ("GET /v1/status", status(), ("status",)),
        ("GET /v1/status/web", workload(), ("status", "web")),
        ("GET /v1/plan", {"commit": "", "workloads": [], "refused": [], "diagnostics": []}, ("plan",)),
        ("GET /v1/runs", {"runs": [run()]}, ("runs",)),
        ("GET /v1/runs/12", run(), ("runs", "12")),
        (
            "GET /v1/why/web",
            {"workload": "web", "state": "converged", "sentence": "x\u202e", "facts": []},
            ("why", "web"),
        ),
        ("POST /v1/sync", {"queued": True, "joined": None}, ("sync",)),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_json_is_the_daemons_answer_itself(
    path: str, request_: str, document: Any, argv: tuple[str, ...], first: bool
) -> None:
    """With --json, before or after the command, the document comes through unchanged, in ASCII."""
    result = ask(path, request_, document, *(("--json", *argv) if first else (*argv, "--json")))
    assert json.loads(result.out) == document
    assert result.out.isascii()
    assert result.code == 0


def test_no_daemon_is_exit_3_with_a_sentence_and_a_hint(path: str) -> None:
    """Nobody at the socket: one sentence, one hint, exit 3."""
    result = eventctl("status", "--socket", path)
    assert (result.code, result.out) == (3, "")
    assert result.err == f"eventctl: no daemon at {path}\nhint: systemctl status eventd\n"


def test_no_daemon_in_json_is_an_object(path: str) -> None:
    """A program that reads stdout gets the error as an object."""
    result = eventctl("status", "--socket", path, "--json")
    assert json.loads(result.out)["error"]["reason"] == "no-daemon"
    assert result.code == 3


def test_an_account_that_may_not_ask_is_exit_3(path: str) -> None:
    """The daemon's 403 counts as no permission to ask."""
    document = error("forbidden", "you may not do this", "only root may do this")
    result = ask(path, "POST /v1/sync", document, "sync", code=403)
    assert (result.code, result.err) == (3, "eventctl: you may not do this\nhint: only root may do this\n")


def test_an_error_of_the_daemon_is_exit_1(path: str) -> None:
    """An unknown workload is told in the daemon's words."""
    document = error("no-such-workload", "there is no workload 'x'", "there are: web")
    result = ask(path, "GET /v1/status/x", document, "status", "x", code=404)
    assert (result.code, result.err) == (1, "eventctl: there is no workload 'x'\nhint: there are: web\n")


WHY = {
    "workload": "photos",
    "state": "held",
    "sentence": "photos waits for mount /srv/photos",
    "facts": [
        {"fact": "account photos", "value": "exists", "wanted": "exists", "holds": True},
        {"fact": "mount:/srv/photos", "value": None, "wanted": True, "holds": False},
    ],
}


def test_why_answers_in_a_sentence_and_with_what_is_missing_first(path: str) -> None:
    """The sentence, then the facts, those that do not hold first."""
    result = ask(path, "GET /v1/why/photos", WHY, "why", "photos")
    assert result.code == 4
    assert result.out == (
        "photos waits for mount /srv/photos\n"
        "\n"
        "HOLDS  FACT               IS       WANTED\n"
        "NO     mount:/srv/photos  unknown  yes\n"
        "yes    account photos     exists   exists\n"
    )


def test_why_says_how_often_it_was_tried_and_when_it_is_tried_again(path: str) -> None:
    """Below the sentence, as in the status; the JSON has both as the daemon sends them."""
    failed = {
        "workload": "db",
        "state": "failed",
        "sentence": "db failed: no image",
        "facts": [],
        "attempts": 4,
        "retry_at": NOW + 120,
    }
    text = ask(path, "GET /v1/why/db", failed, "why", "db").out
    assert text == "db failed: no image\nattempt 4 failed, next try in 2 min\n"
    assert json.loads(ask(path, "GET /v1/why/db", failed, "why", "db", "--json").out) == failed
    waits = {**failed, "retry_at": None}
    assert "attempt 4 failed\n" in ask(path, "GET /v1/why/db", waits, "why", "db").out


FAILED_RUN = run(
    13,
    "failed",
    joined=2,
    error="the commit cannot be read",
    workloads=[
        {"name": "web", "result": "ok", "actions": 3, "seconds": 1.5},
        {
            "name": "db",
            "result": "failed",
            "reason": "timeout",
            "message": "no answer",
            "actions": 1,
            "seconds": 90,
            "hint": "look",
            "log": ["dial tcp: timeout"],
        },
        {"name": "api", "result": "unchanged", "actions": 0, "seconds": 0},
    ],
)


def test_runs_are_listed_newest_first(path: str) -> None:
    """A run takes one line: result, when, how long, and what led to it."""
    result = ask(path, "GET /v1/runs", {"runs": [run(12), FAILED_RUN]}, "runs")
    assert result.out == (
        "RUN  RESULT  STARTED    TOOK   COMMIT      WORKLOADS                    BECAUSE OF\n"
        "13   failed  2 min ago  3.2 s  1a2b3c4d5e  1 ok, 1 failed, 1 unchanged  webhook pushed main\n"
        "12   ok      2 min ago  3.2 s  1a2b3c4d5e                               webhook pushed main\n"
    )


@pytest.mark.parametrize(
    ("state", "code"), [("ok", 0), ("failed", 1), ("held", 4), ("running", 1), ("interrupted", 1)]
)
def test_one_run_exits_by_its_result(path: str, state: str, code: int) -> None:
    """`runs ID` says by its exit code how the run went."""
    assert ask(path, "GET /v1/runs/12", run(12, state), "runs", "12").code == code


def test_one_run_tells_what_became_of_each_workload(path: str) -> None:
    """Failures first; the unchanged are counted."""
    result = ask(path, "GET /v1/runs/13", FAILED_RUN, "runs", "13")
    assert result.out == (
        "run 13: failed 2 min ago in 3.2 s, at 1a2b3c4d5e\n"
        "  because of webhook pushed main (event 41)\n"
        "  2 more requests joined it\n"
        "  the commit cannot be read\n"
        "  WORKLOAD  RESULT  ACTIONS    TOOK   REASON\n"
        "  db        failed  1 action   2 min  timeout: no answer\n"
        "  web       ok      3 actions  1.5 s\n"
        "  db:\n"
        "    hint: look\n"
        "    | dial tcp: timeout\n"
        "  1 workload unchanged\n"
    )


def plan(*workloads: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"commit": COMMIT, "workloads": list(workloads), "refused": [], "diagnostics": [], **changes}


def planned(**changes: Any) -> dict[str, Any]:
    action = {
        "verb": "put-file",
        "target": "quadlet:web.container",
        "reason": "content differs",
        "diff": "--- a\n+++ b\n-Image=x:1\n+Image=x:2\n",
    }
    return {"name": "web", "actions": [action], "verdicts": [], **changes}


def test_nothing_to_do_is_0(path: str) -> None:
    """As with diff(1), an empty plan is success."""
    result = ask(path, "GET /v1/plan", plan(), "plan")
    assert (result.code, result.out) == (0, "nothing to do at 1a2b3c4d5e\n")


def test_a_plan_shows_actions_reasons_and_diffs(path: str) -> None:
    """What would be done, why, and how files change; exit 1, since the host is not as wanted."""
    result = ask(path, "GET /v1/plan", plan(planned()), "plan")
    assert result.code == 1
    assert result.out == (
        "web: 1 action\n"
        "  ACTION    TARGET                 REASON\n"
        "  put-file  quadlet:web.container  content differs\n"
        "  --- a\n"
        "  +++ b\n"
        "  -Image=x:1\n"
        "  +Image=x:2\n"
        "\n"
        "1 action to do at 1a2b3c4d5e\n"
    )


def test_diffs_can_be_left_out(path: str) -> None:
    """--no-diff keeps contents of files off the screen."""
    assert "Image" not in ask(path, "GET /v1/plan", plan(planned()), "plan", "--no-diff").out


def test_a_plan_in_which_everything_is_held_is_4(path: str) -> None:
    """If all that is left to do waits, the plan is held; what it waits for is said."""
    hold = {
        "verdict": "hold",
        "action": "start",
        "reason": "gate",
        "message": "not mounted",
        "waits_for": ["mount:/x"],
    }
    result = ask(path, "GET /v1/plan", plan(planned(verdicts=[hold])), "plan")
    assert result.code == 4
    assert "  hold: start: gate: not mounted: waits for mount:/x\n" in result.out


def test_a_denied_action_is_not_taken_for_a_held_one(path: str) -> None:
    """A denial, or a verdict of no known kind, is not something that passes by waiting."""
    for verdict in ({"verdict": "deny", "reason": "protected"}, {"action": "start", "reason": "protected"}):
        result = ask(path, "GET /v1/plan", plan(planned(verdicts=[verdict])), "plan")
        assert result.code == 1
        assert "deny" in result.out


def test_a_refused_workload_is_1_although_nothing_is_to_do(path: str) -> None:
    """What the repository has wrong is shown, and is not success."""
    finding = {"severity": "error", "file": "workloads/db/db.container", "line": 2, "message": "no Image"}
    result = ask(path, "GET /v1/plan", plan(refused=[{"name": "db", "diagnostics": [finding]}]), "plan")
    assert result.code == 1
    assert "db: refused\n  workloads/db/db.container:2: error: no Image\n" in result.out


def test_plan_fetches_when_asked(path: str) -> None:
    """--fetch is passed on, and without it nothing is fetched."""
    with FakeDaemon(path, {"GET /v1/plan": Answer(plan())}) as daemon:
        eventctl("plan", "--socket", path)
        eventctl("plan", "--fetch", "--socket", path)
    assert [each.query for each in daemon.requests] == [{}, {"fetch": "1"}]


METRICS = """\
# HELP eventd_runs_total Runs.
# TYPE eventd_runs_total counter
eventd_runs_total{result="ok"} 12.0
"""


def test_metrics_come_through_as_they_are(path: str) -> None:
    """The text format is not touched."""
    with FakeDaemon(path, {"GET /metrics": Answer(text=METRICS)}):
        assert eventctl("metrics", "--socket", path).out == METRICS


def test_metrics_as_json(path: str) -> None:
    """--json gives families with their samples."""
    with FakeDaemon(path, {"GET /metrics": Answer(text=METRICS)}):
        document = json.loads(eventctl("metrics", "--socket", path, "--json").out)
    assert document["metrics"][0]["type"] == "counter"
    assert document["metrics"][0]["samples"] == [
        {"name": "eventd_runs_total", "labels": {"result": "ok"}, "value": 12.0}
    ]


def test_an_update_that_failed_is_told_under_a_host_that_is_converged(path: str) -> None:
    """In sum, and each with its reason: what runs is the image of before, and nothing else shows it."""
    failed = {
        "workload": "web",
        "at": NOW - 3600,
        "by": "uid 1001",
        "reason": "pull-failed",
        "message": "no \x1b[2Jroute",
    }
    told = status("converged", updates={"workloads": 3, "failed": [failed]})
    result = ask(path, "GET /v1/status", told, "status")
    assert result.code == 0
    assert "updates: the last one failed for 1 of 3 workloads" in result.out
    assert "pull-failed: no route" in result.out
