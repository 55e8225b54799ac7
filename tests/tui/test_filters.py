"""What a typed filter selects."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from shammah_tui.filters import Filter, cycled


@dataclass(frozen=True)
class Thing:
    status: str
    text: str


FILTER = Filter[Thing](fields={"status": lambda one: one.status}, text=lambda one: one.text)
CATS = Thing("ready", "Who feeds the Cats?")
KEYS = Thing("draft", "Where are the keys: under the can?")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", [CATS, KEYS]),
        ("cats FEEDS", [CATS]),
        ("the", [CATS, KEYS]),
        ("cats keys", []),
        ("status:ready", [CATS]),
        ("status:r", [CATS]),
        ("status:ready status:draft the", [CATS, KEYS]),
        ("status:draft cats", []),
        ("keys: can", [KEYS]),
    ],
)
def test_words_and_fields_select(typed: str, found: list[Thing]) -> None:
    assert [one for one in (CATS, KEYS) if FILTER.matching(typed)(one)] == found


@pytest.mark.parametrize(
    ("typed", "next_one"),
    [
        ("", "status:ready"),
        ("cats status:ready", "cats status:draft"),
        ("status:draft cats", "cats"),
        ("status:other", "status:ready"),
    ],
)
def test_a_key_goes_through_the_values_of_a_field(typed: str, next_one: str) -> None:
    assert cycled(typed, "status", ["ready", "draft"]) == next_one
