"""What is made ready beside something else."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from shammah.errors import ConfigError
from shammah.repl.opening import Opening


def refuse() -> str:
    raise ConfigError("refused")


def test_it_is_made_in_the_thread_that_wants_it_here() -> None:
    opening = Opening(lambda: threading.current_thread)
    opening.here()
    assert opening.future.result() is threading.current_thread()


def test_it_is_made_once_beside_whoever_begins_it() -> None:
    loads: list[int] = []

    def load() -> Callable[[], threading.Thread]:
        loads.append(1)
        return threading.current_thread

    opening = Opening(load)
    opening.begin()
    opening.begin()
    maker = opening.future.result(10)
    opening.begin()
    assert loads == [1]
    assert maker is not threading.current_thread()
    assert maker.daemon, "what waits for an answer must not hold up the end"


@pytest.mark.parametrize("load", [refuse, lambda: refuse])
def test_whoever_waits_is_told_what_went_wrong(load: Callable[[], Callable[[], str]]) -> None:
    opening = Opening(load)
    opening.begin()
    with pytest.raises(ConfigError, match="refused"):
        opening.future.result(10)


def test_what_goes_wrong_here_is_raised_here() -> None:
    with pytest.raises(ConfigError, match="refused"):
        Opening(lambda: refuse).here()
