"""Scope: ids that accounts have had are never given again: chosen and written down first, also after a loss."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.accounts.adapter_used_ids import SUBORDINATE_IDS, Ids, Limits, UsedIds
from eventd.kernel.model.errors import PermanentError

LIMITS = Limits((1000, 1004), (100_000, 100_000 + 9 * SUBORDINATE_IDS - 1), (100_000, 2_000_000))
NONE: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


def book(tmp_path: Path, *places: Path) -> UsedIds:
    return UsedIds(str(tmp_path / "ids"), places=map(str, places))


def test_a_deleted_accounts_ids_are_not_given_again(tmp_path: Path) -> None:
    """Useradd would give the highest number and the lowest gap again; here both stay behind for good."""
    ids = book(tmp_path)
    first = ids.reserve("web", LIMITS, [0, 1000], NONE)
    assert (first.uid, first.gid, first.subuid) == (1001, 1001, 100_000)
    ids.record(first)
    # The account is gone: nothing of it is in the databases any more, and the name is another's, or the same.
    for name in ("db", "web"):
        other = book(tmp_path).reserve(name, LIMITS, [0, 1000], NONE)
        assert other.uid not in (1000, 1001)
        assert other.subuid >= first.subuid + SUBORDINATE_IDS
        assert other.subgid >= first.subgid + SUBORDINATE_IDS
        book(tmp_path).record(other)


def test_numbers_that_became_no_account_are_given_to_the_same_name_again(tmp_path: Path) -> None:
    """A useradd that fails a hundred times takes one number; but not once somebody else has it."""
    ids = book(tmp_path)
    first = ids.reserve("web", LIMITS, [], NONE)
    assert book(tmp_path).reserve("web", LIMITS, [], NONE) == first
    assert ids.reserve("db", LIMITS, [], NONE).uid != first.uid
    assert ids.reserve("web", LIMITS, [first.uid], NONE).uid != first.uid


def test_gaps_are_used_at_the_end_of_the_range_and_then_nothing(tmp_path: Path) -> None:
    """The numbers below somebody's high one are free, as long as no account has had them; then it is said."""
    ids = book(tmp_path)
    given = []
    for name in ("a", "b", "c", "d"):
        row = ids.reserve(name, LIMITS, [1004], NONE)
        ids.record(row)
        given.append(row.uid)
    assert given == [1000, 1001, 1002, 1003]
    with pytest.raises(PermanentError) as caught:
        ids.reserve("e", LIMITS, [1004], NONE)
    assert (caught.value.reason, "UID_MAX" in caught.value.hint) == ("ids-exhausted", True)


def test_a_row_that_was_cut_off_takes_nothing_with_it(tmp_path: Path) -> None:
    """A power cut in the middle of a write: the rows before count, and the next is whole."""
    ids = book(tmp_path)
    first = ids.reserve("web", LIMITS, [], NONE)
    ids.record(first)
    with (tmp_path / "ids").open("a") as file:
        file.write('{"name": "db", "uid": 10')
    second = ids.reserve("db", LIMITS, [], NONE)
    ids.record(second)
    third = book(tmp_path).reserve("x", LIMITS, [], NONE)
    assert len({first.uid, second.uid, third.uid}) == 3
    assert (tmp_path / "ids").stat().st_mode & 0o777 == 0o600


def test_without_the_file_the_owners_of_what_stands_about_are_the_floor(tmp_path: Path) -> None:
    """The state folder is lost: what a former account left behind still says which numbers were given."""
    left = tmp_path / "var-tmp"
    left.mkdir()
    (left / "tool").write_text("")
    if os.geteuid() == 0:
        os.chown(left / "tool", 1002, 1002)
    row = book(tmp_path, left, tmp_path / "absent").reserve("web", LIMITS, [], NONE)
    assert row.uid == (1003 if os.geteuid() == 0 else 1000)


def test_a_range_is_never_given_twice(tmp_path: Path) -> None:
    """Ranges only grow; where no room is left, the way out is named."""
    ids, seen = book(tmp_path), []
    for number in range(9):
        row = ids.reserve(
            f"w{number}", replace(LIMITS, uid=(1000, 2000)), [], ((100_000 + SUBORDINATE_IDS,), ())
        )
        if number == 8:
            break
        ids.record(row)
        seen.append(row.subuid)
        if len(seen) == 8:
            break
    assert seen == sorted(set(seen))
    assert all(first >= 100_000 + SUBORDINATE_IDS for first in seen)
    with pytest.raises(PermanentError, match="every range of subordinate ids"):
        ids.reserve("more", replace(LIMITS, uid=(1000, 2000)), [], ((100_000 + SUBORDINATE_IDS,), ()))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), max_size=30))
def test_no_two_accounts_share_a_number(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool, bool]]
) -> None:
    """Whatever the order of creations that work or fail and of deletions, numbers are one account's for ever."""
    folder = tmp_path_factory.mktemp("ids")
    limits, had, alive = (
        replace(LIMITS, uid=(1000, 60000), subuid=(100_000, 600_000_000)),
        dict[int, str](),
        set[int](),
    )
    subs: set[int] = set()
    for number, (name, works, dies) in enumerate(steps):
        row = book(folder).reserve(name, limits, sorted(alive), NONE)
        assert row.uid not in had
        assert row.subuid not in subs
        if works:
            had[row.uid] = f"{name}{number}"
            subs.add(row.subuid)
            alive.add(row.uid)
            book(folder).record(row)
        if dies and alive:
            alive.discard(max(alive))


def test_what_is_written_is_plain_json(tmp_path: Path) -> None:
    """One line an account, for whoever has to look at it by hand."""
    ids = book(tmp_path)
    ids.record(Ids("web", 1001, 1001, 165_536, 165_536))
    ids.record(Ids("web", 1001, 1001, 165_536, 165_536))
    (line,) = (tmp_path / "ids").read_text().splitlines()
    assert json.loads(line) == {
        "name": "web", "uid": 1001, "gid": 1001, "subuid": 165_536, "subgid": 165_536, "made": True
    }  # fmt: skip
