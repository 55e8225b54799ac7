"""A daemon in a home that has been used for years: how fast it starts and answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.records import Active, Judgement, Level, Verdict
from shammah.store.database import Store
from tests.running import ALONE, TINY, Daemon, furnish, home_in, running
from tests.store.filling import EXAMPLES, Filler
from tests.timing import best_milliseconds

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300, func_only=True)]

#: Beside what the same start takes in a new home, which is mostly imports.
START_SECONDS = 1.0

CALL_MILLISECONDS = 50.0


@pytest.fixture(scope="module")
def old_home(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    paths = home_in(tmp_path_factory.mktemp("old"))
    furnish(paths, tiny_ground, TINY)
    with closing(Store.open(paths.database)) as store:
        report = {"summary": f"learned {EXAMPLES} of {EXAMPLES}"}
        candidate = replace(Filler(store).candidate(), report=report)
        examples = Filler(store).years()
        store.promote(
            candidate,
            {one.id: one.content_hash for one in examples},
            [Judgement(one.id, Verdict.LEARNED) for one in examples],
        )
        store.pointer.move(
            Active(TINY, 0)
        )  # that version has no file: what it was taught waits again
    with running(paths, ALONE) as daemon:
        yield daemon


def test_every_call_takes_under_50_ms(old_home: Daemon) -> None:
    with old_home.client as client:
        taken = {name: best_milliseconds(act, runs=10) for name, act in calls(client).items()}
    print("\n", {name: round(ms, 1) for name, ms in taken.items()})
    assert {name: ms for name, ms in taken.items() if ms >= CALL_MILLISECONDS} == {}


def test_every_example_is_in_one_of_the_pages(old_home: Daemon) -> None:
    with old_home.client as client:
        ids = [one.id for one in client.examples()]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) >= EXAMPLES


def calls(client: Client) -> dict[str, Callable[[], object]]:
    return {
        "health": client.health,
        "status": client.status,
        "examples": client.page_of_examples,
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
