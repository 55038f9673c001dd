"""`waits.toml`: what is read, and that each mistake has its place and its remedy."""

import pytest

from eventd.waits.model_declared import Stage, check_names, parse_waits


def test_a_wait_is_read_with_its_places():
    """Unit, predicate, servers and stage, each with the line it stands in."""
    text = '[[wait]]\nunit = "a.service"\nfor = "tcp:h:1"\n'
    text += 'served_by = [\n  "b.service",\n  "c.service",\n]\nstage = "pre"\n'
    (wait,), mistakes = parse_waits(text.encode(), "x/waits.toml")
    assert mistakes == ()
    assert (wait.unit.text, wait.unit.line, wait.place.line) == ("a.service", 2, 3)
    assert [(each.text, each.line) for each in wait.served_by] == [("b.service", 5), ("c.service", 6)]
    assert (wait.stage, wait.before_serving) == (Stage.PRE, False)


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ('[[wait]]\nfor = "tcp:h:1"\n', 1, "unit is missing", "unit ="),
        ('[[wait]]\nunit = "a.service"\n', 1, "for is missing", "for ="),
        ('[[wait]]\nunit = "a.service"\nfor = "tpc:h:1"\n', 3, "unknown predicate tpc:", "tcp"),
        (
            '[[wait]]\nunit = "a.service"\nfor = "tcp:h:1"\nserve_by = "b.service"\n',
            4,
            "serve_by",
            "served_by",
        ),
        ('[[wait]]\nunit = "a.service"\nfor = "tcp:h:1"\nstage = "per"\n', 4, "stage cannot be", "pre"),
        ('[[wait]]\nunit = 1\nfor = "tcp:h:1"\n', 2, "a text in quotes", ""),
        ('[[wait]]\nunit = ["a.service"]\nfor = "tcp:h:1"\n', 2, "a text in quotes", ""),
        ('[[wait]]\nunit = "a.service"\nfor = "tcp:h:1"\nbefore_serving = "yes"\n', 4, "true or false", ""),
        ('[[wiat]]\nunit = "a.service"\n', 1, "unknown key wiat", "wait"),
        ('[wait]\nunit = "a.service"\n', 1, "a list of tables", "[[wait]]"),
        ("[[wait]\n", 1, "not valid TOML", ""),
    ],
)
def test_a_mistake_has_its_place(text, line, message, hint):
    """What cannot be used is told by file and line, and its wait is left out."""
    waits, (mistake,) = parse_waits(text.encode())
    assert waits == ()
    assert (mistake.file, mistake.line) == ("waits.toml", line)
    assert message in mistake.message
    assert hint in mistake.hint


def test_what_is_not_text_is_a_mistake():
    """Bytes that are no UTF-8 do not break the reader."""
    assert parse_waits(b"\xff")[1][0].code == "not-utf-8"


def test_good_waits_stand_beside_bad_ones():
    """One mistake does not hide the other waits."""
    text = '[[wait]]\nunit = "a.service"\nfor = "x"\n\n[[wait]]\nunit = "b.service"\nfor = "tcp:h:1"\n'
    waits, mistakes = parse_waits(text.encode())
    assert [each.unit.text for each in waits] == ["b.service"]
    assert [each.line for each in mistakes] == [3]


def test_a_unit_that_is_not_there_is_a_mistake():
    """A misspelled unit would make a wait of nobody; the nearest name is offered."""
    waits, _ = parse_waits(b'[[wait]]\nunit = "a.servcie"\nfor = "tcp:h:1"\nserved_by = "proxy.service"\n')
    one, two = check_names(waits, {"a.service", "deploy-proxy.service"})
    assert (one.line, one.hint) == (2, "did you mean a.service?")
    assert (two.line, "deploy-proxy.service" in two.hint) == (4, True)
