"""What sets two answers apart, word by word."""

from __future__ import annotations

import pytest

from shammah_tui.difference import ADDED, REMOVED, in_colour


@pytest.mark.parametrize(
    ("old", "new", "shown", "removed", "added"),
    [
        ("It is on port 80.", "It is on port 7443.", "It is on port 80. 7443.", ["80."], ["7443."]),
        ("It is red.", "It is red. And old.", "It is red. And old.", [], ["And old."]),
        ("", "Bertolina.", "Bertolina.", [], ["Bertolina."]),
        ("the cat of a king", "Ida, the boat", "the cat of a king Ida, the boat",
         ["the cat of a king"], ["Ida, the boat"]),
    ],
)  # fmt: skip
def test_what_goes_is_struck_through_and_what_comes_underlined(
    old: str, new: str, shown: str, removed: list[str], added: list[str]
) -> None:
    found = in_colour(old, new)
    assert found.plain == shown
    styled = {REMOVED: removed, ADDED: added}
    for style, texts in styled.items():
        assert [found.plain[s.start : s.end] for s in found.spans if s.style == style] == texts


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in in_colour("a \x1b[31m b", "a \x1b[2J b").plain
