"""Scope: `workload.toml` and `hosts/<hostname>.toml`: values, layers, and the line of every mistake."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.desired.model import OnFailure, RemoveData, WorkloadOptions
from eventd.desired.model_options import Options, parse_host, parse_options
from eventd.kernel.model.located import Located
from eventd.kernel.model.toml_lines import locate

FULL = b"""# everything
transform = "tailscale"
requires = [
  "unit:network-online.target",  # first

  "mount:/srv/a]b",
]
manual = "import.service"

[health]
expect = ["container:web=healthy"]
deadline = "1min 30s"
grace = 2.5
on_failure = "rollback"

[update]
schedule = "Mon 04:00"
[remove]
data = "delete"
"""


def test_every_key_is_read() -> None:
    """Each key ends in its field; predicates keep their line; a text alone is a list of one."""
    options, found = parse_options(FULL, "f", Options())
    assert not found
    assert options.values == WorkloadOptions(
        transform="tailscale",
        requires=(Located("unit:network-online.target", "f", 4), Located("mount:/srv/a]b", "f", 6)),
        expect=(Located("container:web=healthy", "f", 11),),
        deadline=90.0,
        grace=2.5,
        on_failure=OnFailure.ROLLBACK,
        update_schedule="Mon 04:00",
        remove_data=RemoveData.DELETE,
        manual=frozenset({"import.service"}),
    )
    assert options.transform == Located("tailscale", "f", 2)


def test_what_is_not_written_keeps_the_value_below() -> None:
    """A file is a layer over the host's defaults."""
    base = Options(WorkloadOptions(deadline=7.0, grace=3.0))
    options, _ = parse_options(b"[health]\ngrace = 4\n", "f", base)
    assert (options.values.deadline, options.values.grace) == (7.0, 4.0)
    assert not options.explicit_requires


def test_an_empty_list_is_written_down_too() -> None:
    """`requires = []` is a decision."""
    options, _ = parse_options(b"requires = []", "f", Options())
    assert options.explicit_requires


@pytest.mark.parametrize(
    ("text", "code", "line", "key"),
    [
        (b"a = ", "bad-toml", 1, ""),
        (b"\nx = \xff", "not-utf-8", 2, ""),
        (b"\nrequire = []", "unknown-option", 2, "require"),
        (b"[health]\n\nexpcet = []", "unknown-option", 3, "health.expcet"),
        (b"health.expcet = []", "unknown-option", 1, "health.expcet"),
        (b"health = 1", "wrong-type", 1, "health"),
        (b"requires = [1]", "wrong-type", 1, "requires"),
        (b"transform = []", "wrong-type", 1, "transform"),
        (b"[health]\ngrace = true", "bad-duration", 2, "health.grace"),
        (b"[health]\ndeadline = 0", "bad-duration", 2, "health.deadline"),
        (b"[health]\non_failure = 'x'", "bad-value", 2, "health.on_failure"),
        (b"[update]\nschedule = 4", "wrong-type", 2, "update.schedule"),
    ],
)
def test_each_mistake_has_its_place(text: bytes, code: str, line: int, key: str) -> None:
    """Code, line and key path; the values are those of the layer below."""
    options, found = parse_options(text, "f", Options())
    assert [(d.code, d.line, d.key, d.file) for d in found] == [(code, line, key, "f")]
    assert options.values == WorkloadOptions()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"[health]\nrequires = []", "requires belongs above the first [table]"),
        (b"data = 'delete'", "data belongs into [remove]"),
        (b"[remove]\ndeadline = 9", "deadline belongs into [health] or into [storage]"),
        (b"[health]\nexpcet = []", "did you mean expect?"),
    ],
)
def test_a_key_of_another_table_is_sent_there(text: bytes, hint: str) -> None:
    """What is right elsewhere is no typing mistake: the hint names its place."""
    assert [each.hint for each in parse_options(text, "f", Options())[1]] == [hint]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"requires = []", "requires belongs into [workload.NAME]"),
        (b"[workload.web.health]\nrequires = []", "requires belongs into [workload.web]"),
        (b"[workload.web]\ngrace = 1", "grace belongs into [workload.web.health]"),
        (b"worklods = []", "did you mean workloads?"),
    ],
)
def test_in_a_hosts_file_a_key_is_sent_to_its_workload(text: bytes, hint: str) -> None:
    """There every table has the workload's name in it."""
    assert [each.hint for each in parse_host(text, "h")[1]] == [hint]


def test_a_host_chooses_workloads() -> None:
    """`workloads` names those that run, `exclude` those that do not; without either all run."""
    listed, _ = parse_host(b'workloads = ["a"]', "h")
    assert [listed.selects(n) for n in "ab"] == [True, False]
    excluded, _ = parse_host(b'exclude = ["a"]', "h")
    assert [excluded.selects(n) for n in "ab"] == [False, True]
    everything, _ = parse_host(b"", "h")
    assert everything.selects("a")


def test_a_host_overrides_options() -> None:
    """`[workload.NAME]` is one more layer, for that workload only."""
    host, found = parse_host(b'[workload.web]\ntransform = ""\n[workload.web.health]\ngrace = 9\n', "h")
    assert found == ()
    options, found = host.override("web", Options(WorkloadOptions(deadline=7.0)))
    assert found == ()
    assert (options.values.grace, options.values.deadline, options.values.transform) == (9.0, 7.0, "")
    assert host.override("db", Options())[0] == Options()


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (b"worklods = []", "unknown-option", 1),
        (b"workloads = 1", "wrong-type", 1),
        (b'workloads = ["a"]\nexclude = ["b"]', "bad-value", 2),
        (b"workload = 1", "wrong-type", 1),
        (b"[workload]\nweb = 1", "wrong-type", 2),
        (b"[workload.web.health]\ngrce = 1", "unknown-option", 2),
    ],
)
def test_each_mistake_of_a_hosts_file_has_its_place(text: bytes, code: str, line: int) -> None:
    """The same holds for the host's file."""
    assert [(d.code, d.line) for d in parse_host(text, "h")[1]] == [(code, line)]


TRICKY = '''"a b" = """x
[no]
" # """
[t."q.r"]  # [x]
k = {a = 1, "b" = ["x", 'y#']}
l = [
  1, [2,
  3], # c ]
]
[[t.list]]
m = 2020-01-01T00:00:00Z
[[t.list]]
m = "\\" ]"
'''


def test_lines_of_tricky_documents() -> None:
    """Strings of several lines, inline tables, nested arrays, and arrays of tables are all located."""
    found = locate(TRICKY)
    assert tomllib.loads(TRICKY)
    assert found["a b",] == 1
    assert found["t", "q.r"] == 4
    assert found["t", "q.r", "k", "b", 1] == 5
    assert found["t", "q.r", "l", 1, 1] == 8
    assert found["t", "list", 0, "m"] == 11
    assert found["t", "list", 1, "m"] == 13


fragments = st.sampled_from(
    [
        "a",
        "b",
        " = ",
        "1",
        '"x"',
        "'y'",
        '"""',
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        "\n",
        "#",
        ".",
        "\\",
        "[t]\n",
        "a = [",
        "k = 1\n",
    ]
)


@given(st.lists(fragments, max_size=25).map("".join))
def test_whatever_toml_takes_is_located(text: str) -> None:
    """For every accepted document, each key has a line within it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = locate(text)
    assert all((key,) in found for key in data)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
