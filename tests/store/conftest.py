"""A store in a temporary file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.records import Active
from shammah.store.database import Store
from tests.store.filling import BASE, Clock, Filler


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "shammah.db"


@pytest.fixture
def open_store(database: Path, clock: Clock) -> Callable[[], Store]:
    return lambda: Store.open(database, clock)


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Iterator[Store]:
    with closing(open_store()) as store:
        store.pointer.move(Active(BASE, 0))
        yield store


@pytest.fixture
def fill(store: Store) -> Filler:
    return Filler(store)
