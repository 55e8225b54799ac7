"""Up to when a schedule is dealt with, kept over restarts."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from shammah.paths import Paths
from shammah.store.database import Store

AT = datetime(2026, 3, 29, 3, 0, 12)


def test_a_due_time_is_known_after_a_restart(home: Paths) -> None:
    with closing(Store.open(home.database)) as store:
        assert store.due_times.settled_until("consolidate", "0 3 * * *") is None
        store.due_times.settle("consolidate", "0 3 * * *", AT.replace(hour=1))
        store.due_times.settle("consolidate", "0 3 * * *", AT)
    with closing(Store.open(home.database)) as store:
        assert store.due_times.settled_until("consolidate", "0 3 * * *") == AT


def test_another_expression_begins_anew(store: Store) -> None:
    store.due_times.settle("consolidate", "0 3 * * *", AT)
    assert store.due_times.settled_until("consolidate", "0 4 * * *") is None
