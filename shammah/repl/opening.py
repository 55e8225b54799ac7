"""Makes something ready beside what the user does meanwhile. Knows neither of the two."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Ready = TypeVar("Ready")


class Opening(Generic[Ready]):
    """What `load` and then `connect` make, in threads of their own or in the caller's.

    Args:
        load: imports what is needed, and returns `connect`.
    """

    def __init__(self, load: Callable[[], Callable[[], Ready]]) -> None:
        self._load = load
        self._ready: Future[Ready] = Future()

    @property
    def future(self) -> Future[Ready]:
        return self._ready

    def here(self) -> None:
        """Make it ready before anything else goes on. Raises what goes wrong."""
        self._ready.set_result(self._load()())

    def begin(self) -> None:
        """Have it made ready, the first time this is called."""
        if not (self._ready.running() or self._ready.done()):
            self._ready.set_running_or_notify_cancel()  # nobody can cancel it any more
            # No daemon thread: an interpreter that ends in the middle of an import may crash.
            threading.Thread(target=self._import, name="opening-load").start()

    def _import(self) -> None:
        try:
            connect = self._load()
        except BaseException as error:
            self._ready.set_exception(error)
        else:
            # A daemon thread: it may wait for an answer, for which whoever leaves does not wait.
            threading.Thread(
                target=self._connect, args=(connect,), name="opening-connect", daemon=True
            ).start()

    def _connect(self, connect: Callable[[], Ready]) -> None:
        try:
            self._ready.set_result(connect())
        except BaseException as error:
            self._ready.set_exception(error)
