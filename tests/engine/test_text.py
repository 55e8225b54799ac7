"""Text comes out whole: characters that tokens split, and stop strings, wherever they are cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.engine.text import TextStream

#: Few letters, so that stop strings overlap with the text and with themselves.
TEXTS = st.text("abäΩ🙂", max_size=30)
STOPS = st.lists(st.text("abäΩ🙂", min_size=1, max_size=4), max_size=3)
CUTS = st.lists(st.integers(0, 120), max_size=20)


def pieces(text: str, cuts: Sequence[int]) -> list[bytes]:
    """The bytes of `text`, cut anywhere, also inside characters."""
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def read(stream: TextStream, data: Sequence[bytes]) -> list[str]:
    """What comes out, as the batcher feeds it: nothing more after a stop string."""
    out: list[str] = []
    for piece in data:
        out.append(stream.feed(piece))
        if stream.stopped:
            break
    return [*out, stream.finish()]


def before_first_stop(text: str, stops: Sequence[str]) -> str:
    """The reference: the text up to the stop string that is complete first."""
    for end in range(len(text) + 1):
        found = [text[:end].find(stop) for stop in stops if stop in text[:end]]
        if found:
            return text[: min(found)]
    return text


@given(TEXTS, CUTS)
def test_without_stop_strings_everything_comes_out(text: str, cuts: list[int]) -> None:
    assert "".join(read(TextStream(), pieces(text, cuts))) == text


@given(TEXTS, CUTS)
def test_no_piece_holds_part_of_a_character(text: str, cuts: list[int]) -> None:
    assert all("�" not in piece for piece in read(TextStream(), pieces(text, cuts)))


@given(TEXTS, STOPS)
def test_fed_by_characters_it_ends_before_the_first_complete_stop(
    text: str, stops: list[str]
) -> None:
    stream = TextStream(stops)
    out = "".join(read(stream, [char.encode() for char in text]))
    assert out == before_first_stop(text, stops)
    assert stream.stopped == any(stop in text for stop in stops)


@given(TEXTS, STOPS, CUTS)
def test_no_stop_string_is_ever_shown(text: str, stops: list[str], cuts: list[int]) -> None:
    out = "".join(read(TextStream(stops), pieces(text, cuts)))
    assert text.startswith(out)
    assert not any(stop in out for stop in stops)


@given(TEXTS, STOPS, CUTS)
def test_nothing_is_lost_where_no_stop_occurs(text: str, stops: list[str], cuts: list[int]) -> None:
    stops = [stop for stop in stops if stop not in text]
    assert "".join(read(TextStream(stops), pieces(text, cuts))) == text


def test_what_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    stream = TextStream(["END"])
    assert stream.feed(b"the E") == "the "
    assert stream.feed(b"ast") == "East"


def test_an_unfinished_character_at_the_end_is_marked() -> None:
    stream = TextStream()
    assert stream.feed("ä".encode()[:1]) == ""
    assert stream.finish() == "�"


@pytest.mark.parametrize("stops", [[], [""], ["", ""]])
def test_empty_stop_strings_do_not_stop(stops: list[str]) -> None:
    assert "".join(read(TextStream(stops), [b"text"])) == "text"
