"""Terminals without Unicode, and light and dark ones."""

from __future__ import annotations

import io

import pytest

from shammah.repl import signs


@pytest.mark.parametrize(
    ("environment", "is_plain"),
    [
        ({}, False),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LANG": "C", "LC_ALL": "en_US.utf8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python itself leaves it
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
    ],
)
def test_the_locale_tells_what_a_terminal_shows(
    environment: dict[str, str], is_plain: bool
) -> None:
    assert signs.is_plain(environment) is is_plain


def test_ascii_is_as_near_as_it_gets() -> None:
    assert signs.plain("3 · café … “x” \N{SNOWMAN}") == '3 | cafe ... "x" ?'


def test_a_stream_made_plain_writes_ascii_only() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    signs.make_plain(stream)
    stream.write("• één")
    stream.flush()
    assert raw.getvalue() == b"* een"


@pytest.mark.parametrize(
    ("setting", "colours", "found"),
    [
        ("auto", "15;0", "dark"),
        ("auto", "0;15", "light"),
        ("auto", "0;default;15", "light"),
        ("auto", "", "unknown"),
        ("auto", "default;default", "unknown"),
        ("light", "15;0", "light"),
        ("dark", "", "dark"),
    ],
)
def test_the_background_is_set_or_named_by_the_terminal(
    setting: str, colours: str, found: str
) -> None:
    assert signs.background(setting, {"COLORFGBG": colours}) == found


def test_no_background_gets_code_on_black() -> None:
    for behind in signs.CODE_THEMES:
        assert signs.theme(behind).styles["markdown.code"].bgcolor is None
