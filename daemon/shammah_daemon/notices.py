"""Says how a lesson ended where the user sees it: on the desktop, and to a webhook.

Tells numbers only, never a word that was asked, answered or taught. Holds up no job: what cannot
be delivered is logged, and dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from shammah.config import NotifyConfig, is_loopback
from shammah.records import Job, JobState

log = structlog.get_logger()

ATTEMPTS = 4
FIRST_WAIT_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0

_TITLE = "Shammah"


@dataclass(frozen=True)
class Notice:
    """How a lesson ended, in numbers."""

    job: int
    outcome: JobState
    version: int | None  # that answers now; None: the one before goes on
    counts: dict[str, int]  # examples by verdict

    @property
    def text(self) -> str:
        learned = f"{self.counts.get('learned', 0)} of {sum(self.counts.values())}"
        if self.outcome is JobState.PROMOTED:
            return f"Learned {learned}. Version {self.version} answers now."
        return f"The lesson was rejected ({learned} learned). The version before goes on answering."

    def body(self) -> dict[str, Any]:
        """What a webhook gets."""
        return {
            "event": "lesson.ended",
            "job": self.job,
            "outcome": self.outcome.value,
            "version": self.version,
            "counts": self.counts,
        }


def notice_of(job: Job) -> Notice | None:
    """What there is to say of a job; nothing before it was judged."""
    if job.state not in (JobState.PROMOTED, JobState.REJECTED) or job.report is None:
        return None
    counts = Counter(str(item["verdict"]) for item in job.report["verdicts"])
    version = job.version if job.state is JobState.PROMOTED else None
    return Notice(job.id, job.state, version, dict(counts))


class Notices:
    """Delivers notices in the background."""

    def __init__(self, config: NotifyConfig, platform: str = sys.platform) -> None:
        self._config = config
        self._platform = platform
        self._tasks: set[asyncio.Task[None]] = set()

    def job_changed(self, job: Job) -> None:
        notice = notice_of(job)
        if notice and self._config.desktop:
            self._begin(show(notice.text, self._platform))
        if notice and self._config.webhook:
            self._begin(post(self._config.webhook, notice.body()))

    async def close(self) -> None:
        """What is not delivered by now is not."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def show(text: str, platform: str) -> None:
    """On the desktop, if there is a program for it."""
    command = desktop_command(text, platform)
    program = shutil.which(command[0])
    if program is None:
        log.info("no desktop notification", missing=command[0])
        return
    process = await asyncio.create_subprocess_exec(
        program, *command[1:],
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    log.info("desktop notification", code=process.returncode)


def desktop_command(text: str, platform: str) -> list[str]:
    if platform == "darwin":
        return ["osascript", "-e", f'display notification "{text}" with title "{_TITLE}"']
    return ["notify-send", f"--app-name={_TITLE}", _TITLE, text]


async def post(url: str, body: dict[str, Any]) -> None:
    """POST as JSON, again a few times where that can help. Only the host is logged: the rest of
    such an address is often a secret."""
    host = urlsplit(url).hostname
    retrying = AsyncRetrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        # A proxy of the environment has no business with what stays on this machine.
        async with httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS, trust_env=not is_loopback(url)
        ) as client:
            async for attempt in retrying:
                with attempt:
                    (await client.post(url, json=body)).raise_for_status()
    except httpx.HTTPStatusError as error:
        log.warning("the webhook refused", host=host, status=error.response.status_code)
    except httpx.HTTPError as error:
        log.warning("the webhook cannot be reached", host=host, problem=type(error).__name__)
    else:
        log.info("webhook", host=host, job=body["job"])


def _may_pass(error: BaseException) -> bool:
    """No connection, or the other side says that it is its fault, or too early."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)
