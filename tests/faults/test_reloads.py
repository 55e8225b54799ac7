"""One version after another takes over under two clients that stream without a pause."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import pytest

from shammah.client import Client
from tests.asking import Listener, answered, case
from tests.conftest import StartDaemon
from tests.faults.harness import POINTS
from tests.running import ALONE, Daemon, wait_for
from tests.versions import Taught

#: 200 in the long run.
RELOADS = 2 * POINTS

#: After which the daemon has imported and allocated what it keeps.
WARM_UP = 4

ENGINE = "shammah.engine"
MEGABYTE = 1 << 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200, func_only=True)]


@dataclass(frozen=True)
class Held:
    """What the daemon holds while nobody asks."""

    files: int
    children: int
    memory_bytes: int  # its own, without what it shares


def held(daemon: Daemon, children: int | None = None) -> Held:
    """Once the engines that answer no more have ended, and no more than `children` are left."""
    assert daemon.process is not None
    process = psutil.Process(daemon.process.pid)
    wait_for(lambda: len(daemon.children(ENGINE)) == 1)
    if children is not None:  # one that is ending is a child, though of no module
        wait_for(lambda: len(process.children()) <= children)
    return Held(process.num_fds(), len(process.children()), process.memory_full_info().uss)


def reload(client: Client, times: int) -> None:
    """To the base and to version 1 in turn; the next request is answered by it."""
    for number in range(times):
        client.rollback(number % 2)
        assert answered(client, case(2), 2).shammah.version == number % 2


def test_hot_reloads_cut_no_stream_and_leave_nothing_behind(
    moved_in: Taught, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(ALONE)
    with daemon.client as client:
        reload(client, WARM_UP)
        before = held(daemon)
        listeners = [Listener(lambda: daemon.client, case(number)) for number in range(2)]
        for listener in listeners:
            listener.start()
        reload(client, RELOADS)
        for listener in listeners:
            listener.stop()
        after = held(daemon, before.children)
    print(f"\n{RELOADS} reloads, {sum(len(one.answers) for one in listeners)} streams")
    print(f"before {before}, after {after}")
    for listener in listeners:
        assert listener.problem is None
        assert len(listener.answers) > 1
        for chunks in listener.answers:
            assert len([chunk.info for chunk in chunks if chunk.info]) == 1
            [ending] = [chunk.finish_reason for chunk in chunks if chunk.finish_reason]
            assert ending in ("stop", "length")
    assert after.children == before.children
    assert after.files <= before.files + 2  # a connection that is being closed
    assert after.memory_bytes < before.memory_bytes + 20 * MEGABYTE
