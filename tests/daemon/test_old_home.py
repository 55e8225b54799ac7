"""A daemon in a home that has been used for years: how fast it starts and answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.records import Level
from shammah.store.database import Store
from tests.running import ALONE, TINY, Daemon, furnish, home_in, running
from tests.store.filling import EXAMPLES, Filler
from tests.timing import best_milliseconds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300, func_only=True)]

#: Beside what the same start takes in a new home, which is mostly imports.
START_SECONDS = 1.0

CALL_MILLISECONDS = 50.0

#: These look at every example, or list every session: see docs/reliability.md.
LOOKS_AT_ALL = frozenset({"inbox", "feedback", "fix", "sessions", "plan"})
ALL_MILLISECONDS = 1000.0


@pytest.fixture(scope="module")
def old_home(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    paths = home_in(tmp_path_factory.mktemp("old"))
    furnish(paths, tiny_ground, TINY)
    with closing(Store.open(paths.database)) as store:
        Filler(store).years()
    with running(paths, ALONE) as daemon:
        yield daemon


def test_a_call_that_does_not_look_at_everything_takes_under_50_ms(old_home: Daemon) -> None:
    with old_home.client as client:
        taken = {name: best_milliseconds(act, runs=10) for name, act in calls(client).items()}
    print("\n", {name: round(ms, 1) for name, ms in taken.items()})
    slow = {name: ms for name, ms in taken.items() if ms >= CALL_MILLISECONDS}
    assert slow.keys() <= LOOKS_AT_ALL, slow
    assert max(slow.values(), default=0.0) < ALL_MILLISECONDS, slow


def calls(client: Client) -> dict[str, Callable[[], object]]:
    return {
        "health": client.health,
        "status": client.status,
        "example": lambda: client.example(9000),
        "inbox": client.inbox,
        "feedback": lambda: client.feedback(Level.CRITICAL, "turn-70000", correction="Port 9."),
        "fix": lambda: client.fix("Port 10."),
        "why": client.why,
        "why of an old one": lambda: client.why("turn-500"),
        "sessions": client.sessions,
        "search": lambda: client.sessions("70007"),
        "session": lambda: client.session(500),
        "jobs": client.jobs,
        "untold jobs": client.untold_jobs,
        "versions": client.versions,
        "adapters": client.adapters,
        "bases": client.bases,
        "hardware": client.hardware,
        "history": client.hardware_history,
        "logs": client.logs,
        "settings": client.settings,
        "plan": client.plan,
    }


def test_it_starts_as_fast_as_a_new_one(
    old_home: Daemon, tmp_path: Path, tiny_ground: Path
) -> None:
    new = Daemon(home_in(tmp_path / "new"), ALONE)
    furnish(new.paths, tiny_ground, TINY)
    taken = []
    for daemon in (new, old_home):
        daemon.stop()
        start = time.perf_counter()
        daemon.start()
        taken.append(time.perf_counter() - start)
    new.stop()
    print(f"\na new home {taken[0]:.2f} s, an old one {taken[1]:.2f} s, {EXAMPLES} examples")
    assert taken[1] < taken[0] + START_SECONDS
