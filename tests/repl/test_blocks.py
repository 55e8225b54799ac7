"""Questions of many lines between three quotes."""

from __future__ import annotations

import pytest

from shammah.repl.blocks import is_open, joined, unquoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [('"""', True), ('"""one', True), ('"""one"""', False), ('one """', False), ("", False)],
)
def test_a_block_is_open_until_its_second_quotes(text: str, expected: bool) -> None:
    assert is_open(text) is expected


def test_the_quotes_are_no_part_of_the_question() -> None:
    assert unquoted('"""\none\ntwo\n"""') == "one\ntwo"
    assert unquoted('"""text""" what is it?') == "text\nwhat is it?"
    assert unquoted('say """x"""') == 'say """x"""'


def test_lines_of_a_block_are_one_question() -> None:
    assert list(joined(["a", '"""b', "c", 'd"""', "e"])) == ["a", '"""b\nc\nd"""', "e"]
    assert list(joined(['"""never', "ends"])) == ['"""never\nends']
