"""Domains: what does not go together, or is not said in full, is refused before anything runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import eventd
from eventd import domains
from eventd.kernel.domain import Domain, Domains, Host
from eventd.kernel.model.action_table import ActionRow, ActionTable
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import EventKind, Origin
from eventd.kernel.model.facts import FactKind
from eventd.kernel.model.journal import Ending
from eventd.kernel.model.reversibility import benign
from eventd.settings import Repository, Settings


class Weather(FactKind):
    """Of a domain that takes a word of another one."""

    UNIT = "unit"


class Storm(EventKind):
    """As Weather."""

    SYNC = "sync"


class Cloud(Origin):
    """As Weather."""

    DAEMON = "daemon"


@dataclass(frozen=True, slots=True)
class Rain:
    """An action."""

    workload: str
    target: str = "roof"
    why: str = "it is dry"
    verb = "rain"


@dataclass(frozen=True, slots=True)
class Drizzle(Rain):
    """A kind of it, with the same verb: it ends as that does."""


@dataclass(frozen=True, slots=True)
class Hail(Rain):
    """Another action."""

    verb = "hail"


ROW = ActionRow(Rain, Ending("the next plan rains", "the sun"), benign)


async def carry_out(_action: object, _tx: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "domain",
    [
        Domain(name="weather", facts=(Weather,)),
        Domain(name="weather", events=(Storm,)),
        Domain(name="weather", origins=(Cloud,)),
        Domain(name="storage"),
    ],
    ids=["fact", "event", "origin", "name"],
)
def test_no_two_domains_use_one_word(domain: Domain) -> None:
    """Members of two enumerations with one value are equal, so a fact of one would be taken for the other's."""
    with pytest.raises(PermanentError, match="two domains have the") as refused:
        domains.load(extra=(domain,))
    assert refused.value.reason == "bad-domain"


def test_no_two_actions_have_one_verb() -> None:
    """The journal knows a step by its verb."""
    again = ActionRow(Drizzle, Ending("", ""), benign)
    with pytest.raises(PermanentError, match=r"Rain and .*Drizzle"):
        Domains([Domain(name="weather", actions=(ROW, again))])


def test_an_action_that_says_nothing_of_its_ending_or_its_data_is_not_taken() -> None:
    """Neither is one that nothing carries out; a subclass with the same verb ends as its base does."""
    table = ActionTable([ROW])
    table.check_whole([Rain, Drizzle])
    with pytest.raises(PermanentError, match=r"the action rain .* has no handler"):
        table.check_whole([])
    with pytest.raises(PermanentError, match=r"no domain has a row for the action .*Hail"):
        ActionTable([ROW]).check([Rain, Hail])


def test_every_kind_and_every_table_of_a_domain_is_registered() -> None:
    """A domain's folder has a kind of facts or events, or a table of actions, that its object leaves out."""
    loaded = domains.load()
    named = {
        *(f"{each.__module__}.{each.__name__}" for each in (*loaded.facts, *loaded.events, *loaded.origins)),
    }
    for path in Path(eventd.__path__[0]).rglob("model_*.py"):
        module = ".".join(("eventd", *path.relative_to(eventd.__path__[0]).with_suffix("").parts))
        for name in re.findall(
            r"^class (\w+)\((?:FactKind|EventKind|Origin)\):", path.read_text(), re.MULTILINE
        ):
            assert f"{module}.{name}" in named
    tables = {path.parent.name for path in Path(eventd.__path__[0]).glob("*/model_action_table.py")}
    assert tables == {each.name for each in loaded if each.actions}


def test_policies_are_asked_in_this_order() -> None:
    """The first that does not allow speaks: what an operator said, what is unknown, whose it is, … a signature last."""
    known = domains.load()
    settings = Settings(repository=Repository(url="https://forge.example/repo.git"))
    chain = known.policies(Host(settings=settings, actions=known.actions, root=True))
    modules = [getattr(each, "__module__", type(each).__module__) for each in chain]
    assert [name.partition(".")[2] for name in modules] == [
        "overrides_suspended",
        "sources",
        "removal_renames",
        "removal_deleting",
        "accounts_protected",
        "files_ownership",
        "storage_placement",
        "adoption_volumes_beside",
        "compose_provider",
        "gates",
        "approvals_reversibility",
    ]


def test_a_domain_without_a_role_is_passed_over_and_one_that_does_not_exist_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that is there and cannot be imported, or a name that is misspelt, is an error and not silence."""
    assert [each.__name__ for each in domains.modules("settings", ["storage", "files"])] == [
        "eventd.storage.settings"
    ]
    with pytest.raises(ModuleNotFoundError, match=r"eventd\.storrage"):
        domains.modules("settings", ["storrage"])
    package = tmp_path / "brokendomain"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sub").mkdir()
    (package / "sub/__init__.py").write_text("")
    (package / "sub/settings.py").write_text("import is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="is_not_there"):
        domains.modules("settings", ["brokendomain.sub"])
