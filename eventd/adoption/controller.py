"""What is remembered of the volumes of accounts that were handed over."""

from __future__ import annotations

from eventd.adoption.model_facts import AdoptionFact
from eventd.kernel.model.facts import Facts


def forget_stores(facts: Facts) -> None:
    """Forget the volumes of accounts: somebody who asks for a run may have changed them, and no signal says so."""
    for key, _ in tuple(facts.items(AdoptionFact.STORE)):
        facts.set(key, None)
