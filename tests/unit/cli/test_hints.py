"""Scope: every `eventctl …` that a message, a hint or a page of the documentation tells somebody to type.

It has to be a command line that the parser takes. One that promises an effect is in `PROMISES`, with the test that
follows it and looks at what comes of it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from eventd.cli import parser
from eventd.cli.commands import COMMANDS
from tests.unit.docs import docs_pages

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("eventd", "handlers", "policies")
COMMAND = re.compile(r"\beventctl((?: +[a-z9-][^\s`,;:()'\"|&>…]*)(?: +[^\s`,;:()'\"|&>…]+)*)")
QUOTED = re.compile(r"(?<=--reason )'[^']*'|(?<=--reason )\"[^\"]*\"|\b9f8e7d6c…")
"""Words of several words, and ids that are cut short."""
PLACEHOLDER = "9f8e7d6c" * 5
"""For what a message fills in: it has to do for a name and for a commit."""
WORDS = {"COMMIT", "FILE", "ID", "NAME", "OTHER", "WORKLOAD"}
PROSE = {PLACEHOLDER, "gives", "of"}
"""What may follow the name where no command is meant."""
PARSER = parser.build()
LOOKING = {
    "--version",
    "approvals",
    "audit",
    "boot",
    "check",
    "doctor",
    "events",
    "explain",
    "gates",
    "images",
    "logs",
    "metrics",
    "plan",
    "ps",
    "render",
    "retained",
    "runs",
    "state",
    "status",
    "storage",
    "why",
}
"""Commands that show something, and promise no more."""
PROMISES = {
    "adopt": "tests/host/test_adoption.py::test_an_account_that_is_handed_over_runs_its_workload",
    "approve": "tests/host/test_approvals.py",
    "disown": "tests/host/test_install_guide.py::test_the_guide_leads_to_a_converged_host_and_back",
    "exec": "tests/host/test_within.py::test_exec_joins_streams_and_passes_the_status_on",
    "reject": "tests/simulated/test_removal.py",
    "remove": "tests/host/test_approvals.py",
    "restart": "tests/host/test_main_job.py",
    "resume": "tests/simulated/test_rollback.py",
    "rollback": "tests/simulated/test_rollback.py",
    "shell": "tests/host/test_within.py::test_a_script_runs_as_the_account_with_its_bus",
    "state --acknowledge": "tests/simulated/test_lost_state.py",
    "storage attach": "tests/host/test_storage.py",
    "storage decommission": "tests/unit/storage/test_plan.py",
    "storage eject": "tests/host/test_storage_moves.py",
    "storage forget-data": "tests/host/test_storage_moves.py",
    "storage migrate": "tests/host/test_storage_moves.py",
    "suspend": "tests/simulated/test_rollback.py",
    "sync": "tests/simulated/test_scenarios.py::test_a_sync_starts_again_what_systemd_gave_up",
    "update": "tests/simulated/test_updates.py",
}


def text_of(node: ast.AST) -> str | None:
    """Return what a string literal says, with a stand-in for what it fills in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(p.value if isinstance(p, ast.Constant) else PLACEHOLDER for p in parts)
        case _:
            return None


@cache
def strings(path: Path) -> tuple[tuple[int, str], ...]:
    """Return the string literals of a module that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text())
    inner = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in node.values}
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    skipped = inner | bare
    return tuple(
        (getattr(node, "lineno", 0), text)
        for node in ast.walk(tree)
        if id(node) not in skipped and (text := text_of(node)) is not None
    )


def told() -> Iterator[tuple[str, list[str]]]:
    """Yield every command that anything tells somebody to type: where, and its words without the `eventctl`."""
    places = [
        (f"{path.relative_to(ROOT)}:{line}", text)
        for folder in SOURCES
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in strings(path)
    ]
    for page in docs_pages.paths():
        said = docs_pages.text_of(page)
        code = (*docs_pages.spans(said), *(block for _, block in docs_pages.blocks(said)))
        places += [(str(page), text) for text in code]
    for where, text in places:
        for line in text.splitlines():
            plain = QUOTED.sub(PLACEHOLDER, line)
            for found in COMMAND.finditer(plain):
                words = [PLACEHOLDER if word in WORDS else word for word in found[1].rstrip(".?").split()]
                if words[0] not in PROSE:
                    yield where, words


def is_accepted(words: list[str]) -> bool:
    """Tell whether the parser takes this, or a beginning of it after which a sentence goes on; or its name alone."""
    if words[0].startswith("-"):
        return parses(words)
    if len(words) == 1:
        return words[0] in {command.name for command in COMMANDS}
    if words[-1].startswith("--") and parses([*words, PLACEHOLDER]):
        return True  # what its value is goes without saying
    if "--" in words:  # what comes after it is a command of somebody else's
        words = words[: words.index("--")]
    for length in range(len(words), 0, -1):
        if any(word.startswith("-") for word in words[length:]):
            return False  # an option is no part of a sentence
        if parses(words[:length]):
            return True
    return False


def parses(words: list[str]) -> bool:
    """Tell whether the parser takes exactly this."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse(words, PARSER)
        except SystemExit as end:
            return end.code == 0  # --help
    return True


ALL = list(told())


def test_every_command_that_is_told_can_be_typed() -> None:
    """Neither a message nor a page names a command, an option or an argument that there is not."""
    assert len(ALL) > 100
    wrong = sorted({f"{where}: eventctl {' '.join(words)}" for where, words in ALL if not is_accepted(words)})
    assert not wrong, "\n".join(wrong)


def patterns() -> list[tuple[str, int]]:
    """Return each text of the code as a pattern, with the length of what it says itself."""
    found = []
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for _, text in strings(path):
                own = re.split(rf"{PLACEHOLDER}|{{\\w*}}", text)
                found.append((".*".join(map(re.escape, own)), sum(map(len, own))))
    return found


def quoted_hints() -> Iterator[tuple[str, str]]:
    """Yield every hint in the output that a page shows: where, and the whole of it."""
    for page in docs_pages.paths():
        for _, block in docs_pages.blocks(docs_pages.text_of(page)):
            for hint in re.findall(r"^ *hint: (.*)$", block, re.MULTILINE):
                yield str(page), hint


def test_a_page_shows_hints_as_the_code_says_them() -> None:
    """When a hint is reworded, so is each page that shows it."""
    known, shown = patterns(), [*quoted_hints()]
    assert len(shown) > 10
    wrong = [
        f"{page}: {hint}"
        for page, hint in shown
        if not any(
            0.3 * len(hint) <= own <= len(hint) and re.fullmatch(pattern, hint) for pattern, own in known
        )
    ]
    assert not wrong, "\n".join(wrong)


def test_the_check_finds_what_is_wrong() -> None:
    """A command that is none, an option that is none, and an argument too few."""
    assert is_accepted(["status", PLACEHOLDER, "says", "what"])
    assert not is_accepted(["sink", "--wait"])
    assert not is_accepted(["sync", "--weight"])
    assert not is_accepted(["rollback", "--to", PLACEHOLDER])


def test_every_promise_is_kept_by_a_test() -> None:
    """What a hint has somebody do is followed by a test, which is there, and which is about that command."""
    assert {words[0] for _, words in ALL} - LOOKING == {promise.split()[0] for promise in PROMISES} - LOOKING
    for promise, place in PROMISES.items():
        path, _, name = place.partition("::")
        text = (ROOT / path).read_text()
        assert f"def {name}" in text, place
        assert promise.rpartition(" ")[2].removeprefix("--").replace("-", "_") in text.replace("-", "_"), (
            place
        )
