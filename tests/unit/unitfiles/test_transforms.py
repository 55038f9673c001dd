"""Scope: transforms: defaults, prepends, whole sections, and that the spec wins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventd.unitfiles.model import LineKind, UnitFile, parse
from eventd.unitfiles.model_transforms import apply

sections = st.sampled_from(["A", "B", "C"])
keys = st.sampled_from(["K", "L", "M"])
values = st.sampled_from(["", "1", "2", "a \\\n  b", "a \\\n# c\n b"])
entries = st.lists(st.tuples(keys, values), max_size=4)


def _text(blocks: list[tuple[str, list[tuple[str, str]]]], ending: str = "\n") -> str:
    lines: list[str] = []
    for section, pairs in blocks:
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in pairs), "# a comment", ""]
    return "\n".join(lines) + ending


specs = st.builds(_text, st.lists(st.tuples(sections, entries), max_size=4), st.sampled_from(["", "\n"]))
plus_keys = st.sampled_from(["K", "L", "+K", "+L", "+M"])
transforms = st.builds(
    _text, st.lists(st.tuples(sections, st.lists(st.tuples(plus_keys, values), max_size=4)), max_size=4)
)


def unit(text: str, name: str = "spec") -> UnitFile:
    return parse(text.encode(), name)


def applied(spec: str, transform: str) -> str:
    return apply(unit(spec), unit(transform, "transform")).render().decode()


@given(specs, transforms)
def test_applying_twice_is_applying_once(spec: str, transform: str) -> None:
    """What a transform has given, it does not give again."""
    once = applied(spec, transform)
    assert applied(once, transform) == once


@given(specs, transforms)
def test_the_spec_stays_whole(spec: str, transform: str) -> None:
    """Every line of the spec is still there, in its order; the rest is from the transform."""
    result = apply(unit(spec), unit(transform, "transform"))
    kept = [line for line in result.lines if line.file == "spec" and line.raw != "\n"]
    assert "".join(line.raw for line in kept).split() == "".join(spec).split()


@given(specs, transforms)
def test_the_spec_wins(spec: str, transform: str) -> None:
    """Where the spec assigns a key, the last word on it is the spec's."""
    before, after = unit(spec), apply(unit(spec), unit(transform, "transform"))
    for section in before.sections:
        for key in ("K", "L", "M"):
            own = before.entries(section, key)
            if own:
                assert after.entries(section, key)[-len(own) :] == own
                assert after.last(section, key) == before.last(section, key)


@given(specs, transforms)
def test_the_text_says_what_the_lines_say(spec: str, transform: str) -> None:
    """Reading the result gives the very entries that were put together."""
    result = apply(unit(spec), unit(transform, "transform"))
    again = parse(result.render(), "spec")
    assert not again.diagnostics
    assert [(e.section, e.key, e.value) for e in again.entries()] == [
        (e.section, e.key, e.value) for e in result.entries()
    ]
    assert again.sections == result.sections


def test_a_default_is_added_only_where_the_key_is_missing() -> None:
    """`Key=Value` is a default."""
    assert applied("[A]\nK=1\n", "[A]\nK=2\nL=3\n") == "[A]\nK=1\nL=3\n"


def test_an_empty_assignment_refuses_a_default() -> None:
    """`Key=` in the spec counts as having the key."""
    assert applied("[A]\nK=\n", "[A]\nK=2\n") == "[A]\nK=\n"


def test_a_default_may_have_several_values() -> None:
    """A repeated key in the transform is a list, given whole or not at all."""
    assert applied("[A]\n", "[A]\nK=1\nK=2\n") == "[A]\nK=1\nK=2\n"
    assert applied("[A]\nK=3\n", "[A]\nK=1\nK=2\n") == "[A]\nK=3\n"


def test_prepends_go_before_the_specs_values_in_their_order() -> None:
    """`+Key=Value` comes first; several stay in order; the spec's comment stays with its key."""
    spec = "[S]\n# start\nE=own\nE=more\n"
    assert applied(spec, "[S]\n+E=one\n+E=two\n") == "[S]\nE=one\nE=two\n# start\nE=own\nE=more\n"


def test_a_prepend_stands_also_where_the_spec_has_no_such_key() -> None:
    """Then it is like a default, before the defaults of its key."""
    assert applied("[S]\nA=1\n", "[S]\nE=2\n+E=1\n") == "[S]\nA=1\nE=1\nE=2\n"


def test_a_reset_in_the_spec_discards_what_was_prepended() -> None:
    """The empty assignment keeps its meaning: nothing from before counts."""
    result = apply(unit("[S]\nE=\nE=own\n"), unit("[S]\n+E=one\n"))
    assert [line.value for line in result.values("S", "E")] == ["own"]


def test_what_the_list_begins_with_already_is_not_prepended_again() -> None:
    """A spec that was written with the transform's line in it does not get it twice."""
    assert applied("[S]\nE=one\nE=own\n", "[S]\n+E=one\n") == "[S]\nE=one\nE=own\n"


def test_a_missing_section_is_added_whole() -> None:
    """A section of the transform that the spec lacks comes at the end, without the transform's comments."""
    assert applied("[A]\nK=1", "[B]\n# why\nL=2\n+M=3\n") == "[A]\nK=1\n\n[B]\nM=3\nL=2\n"


def test_defaults_go_to_the_end_of_the_last_block_of_a_section() -> None:
    """A repeated section is one section; what follows it (blank lines, comments) stays where it is."""
    spec = "[A]\nK=1\n[B]\n[A]\nL=2\n\n# about C\n[C]\n"
    assert applied(spec, "[A]\nM=3\n") == "[A]\nK=1\n[B]\n[A]\nL=2\nM=3\n\n# about C\n[C]\n"


def test_continuations_are_kept_as_written() -> None:
    """What the transform breaks into lines stays so, comments within it included."""
    result = applied("[S]\nE=own\n", "[S]\n+E=one \\\n  # why\n  two\n")
    assert result == "[S]\nE=one \\\n  # why\n  two\nE=own\n"


def test_each_line_knows_its_file() -> None:
    """A finding about a line that came from the transform points into the transform."""
    result = apply(unit("[S]\nA=1\n"), unit("# c\n[S]\nB=2\n", "transform"))
    places = {line.key: (line.file, line.number) for line in result.lines if line.kind is LineKind.ENTRY}
    assert places == {"A": ("spec", 2), "B": ("transform", 3)}
