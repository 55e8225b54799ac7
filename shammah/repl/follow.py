"""Follows the events of a job across restarts of the daemon; draws nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from shammah.client import Client
from shammah.errors import DaemonUnreachable
from shammah.protocol import JobEvent

#: How long a daemon may be away: it restarts and takes its unfinished job up again.
PATIENCE_SECONDS = 30.0
_RETRY_SECONDS = 0.5


def follow(
    client: Client, job_id: int, sleep: Callable[[float], None] = time.sleep
) -> Iterator[JobEvent]:
    """Every event of the job from its first to its end.

    Raises:
        DaemonUnreachable: the daemon stays away longer than `PATIENCE_SECONDS`.
    """
    after = 0
    patience = PATIENCE_SECONDS
    while True:
        try:
            for event in client.job_events(job_id, after=after):
                after = event.id
                patience = PATIENCE_SECONDS
                yield event
            if client.job(job_id).state.is_final:
                return
        except DaemonUnreachable:
            if patience <= 0:
                raise
        patience -= _RETRY_SECONDS
        sleep(_RETRY_SECONDS)
