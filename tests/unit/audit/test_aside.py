"""Values that are put aside come back as they were, however few of them memory holds."""

import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import ArchiveUnavailable
from service.audit.verifying.aside import Aside

Deeds = st.lists(st.tuples(st.integers(0, 30), st.none() | st.lists(st.integers(), max_size=9)), max_size=200)


@given(Deeds, st.integers(1, 60))
def test_it_is_as_a_dictionary(deeds: list[tuple[int, list[int] | None]], most: int) -> None:
    """Whatever is put in, changed and asked for, in any order."""
    kept: Aside[list[int]] = Aside(list[int], len, most)
    expected: dict[str, list[int]] = {}
    for number, value in deeds:
        key = f"key {number}"
        if value is None:
            assert expected.get(key) == kept.get(key)
        else:
            kept[key] = expected[key] = value
    for key, value in expected.items():
        assert value == kept[key]
    with pytest.raises(KeyError):
        kept["no such key"]


def test_memory_holds_what_it_may() -> None:
    """However many values there are, and however often each is asked for again."""
    kept: Aside[list[int]] = Aside(list[int], len, 500)
    some = random.Random(7)  # noqa: S311 - any order will do
    for n in range(5_000):
        kept[str(n)] = [n] * (n % 10)
        again = some.randrange(n + 1)
        assert kept[str(again)] == [again] * (again % 10)
        assert sum(map(len, kept.held.values())) <= 500


def test_a_disk_that_is_full_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be put aside is an error that names the temporary file, and nothing is taken for verified."""

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("service.audit.verifying.aside.sqlite3.connect", full)
    kept: Aside[list[int]] = Aside(list[int], len, 3)
    kept["a"] = [1]
    with pytest.raises(ArchiveUnavailable, match="in a temporary file: database or disk is full"):
        kept["b"] = [1, 2, 3]
