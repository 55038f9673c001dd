"""Kinds of facts and of events: each domain names its own, and no two mean the same by one word."""

from __future__ import annotations

import importlib
import pkgutil
from enum import StrEnum

import pytest

import eventd
from eventd.core.events import EventKind, Origin
from eventd.core.facts import FactKind


@pytest.mark.parametrize("base", [FactKind, EventKind, Origin])
def test_no_two_domains_use_one_word(base: type[StrEnum]) -> None:
    """Members of two enumerations with one value are equal, so a fact of one would be taken for the other's."""
    for package in pkgutil.iter_modules(eventd.__path__, "eventd."):
        if package.ispkg:
            folder = importlib.import_module(package.name).__path__
            for module in pkgutil.iter_modules(folder, f"{package.name}."):
                if ".model_" in module.name:
                    importlib.import_module(module.name)
    values = [member.value for owner in base.__subclasses__() for member in owner]
    assert len(values) > 5
    assert sorted(values) == sorted(set(values))
