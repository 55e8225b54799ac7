"""The store on its own thread: SQLite's fsync must not hold up a stream. Knows no table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from shammah.store.database import Store

Result = TypeVar("Result")


class Database:
    """Runs work on the store, one piece at a time, in the order of the calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    async def run(self, work: Callable[[Store], Result]) -> Result:
        """`work(store)`. Once begun it is carried out, also if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._executor, work, self._store))

    async def copy_to(self, path: Path) -> None:
        """A consistent copy, over a connection of its own: the writer does not wait for it."""
        await asyncio.to_thread(self._store.copy_to, path)

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        self._store.close()
