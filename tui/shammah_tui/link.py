"""The link to the daemon: asks, follows, commands, and posts what came of it; draws nothing."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from textual.message import Message

from shammah.client import Client
from shammah.errors import DaemonUnreachable, ShammahError, UsageError
from shammah.protocol import Status
from shammah_tui.messages import (
    ChangeMade,
    DaemonLost,
    DaemonSeen,
    FetchFailed,
    JobMoved,
    LinkBroke,
    RequestRefused,
    Snapshot,
)

POLL_SECONDS = 1.0

#: A look in so many reads jobs and versions whatever the status tells: another program may have
#: changed them.
REREAD_EVERY = 30

Post = Callable[[Message], object]
Request = Callable[[Client], Message]
Work = Callable[[Client], Iterator[Message]]

#: `-P` keeps the folder the user happens to be in off the module path.
DAEMON_COMMAND = (sys.executable, "-P", "-m", "shammah.cli", "daemon")


class Link:
    """Threads that talk to the daemon, each through a client of its own.

    They are daemon threads and not Textual's workers: a request waits for its answer without a
    limit, and whoever quits must not wait for a daemon that hangs.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        post: Post,
        call: Callable[[Post, Message], object],
        *,
        read_only: bool,
    ) -> None:
        """
        Args:
            post: takes the news, from any thread.
            call: calls a reply where screens may be touched; called from any thread.
        """
        self._connect = connect
        self._post = post
        self._call = call
        self.read_only = read_only
        self._closed = threading.Event()
        self._asked = threading.Event()
        self._questions: queue.SimpleQueue[tuple[Request, Post] | None] = queue.SimpleQueue()

    def open(self) -> None:
        """Begin to look at the daemon, again and again until `close`."""
        for work in (self._poll, self._follow, self._answer):
            self._start(work)

    def close(self) -> None:
        self._closed.set()
        self._asked.set()
        self._questions.put(None)

    def refresh(self) -> None:
        """Look at everything now, not at the next second."""
        self._asked.set()

    def fetch(self, question: Request, reply: Post) -> None:
        """Ask for something that comes at once. One after another: a later answer is newer.

        Without an answer, the reply is `FetchFailed`.
        """
        self._questions.put((question, reply))

    def ask(self, request: Request, reply: Post) -> None:
        """Ask for something that may take its time, beside everything else."""
        self._start(lambda: self._request(request, reply))

    def change(self, request: Request, reply: Post | None = None) -> None:
        """Let the daemon change something, and look at it then. Without `reply`, what came of it
        is news."""
        if self.read_only:
            self._post(RequestRefused(_only_watching()))
        else:
            self._start(lambda: self._request(request, reply or self._post, and_look=True))

    def work(self, work: Work, reply: Post) -> None:
        """Let the daemon do what takes its time; each message of `work` is a reply."""
        if self.read_only:
            self._post(RequestRefused(_only_watching()))
        else:
            self._start(lambda: self._work(work, reply))

    def command_daemon(self, command: Literal["start", "restart"]) -> None:
        """`shammah daemon start` or `restart`, however the daemon is run on this machine."""
        if self.read_only:
            self._post(RequestRefused(_only_watching()))
        else:
            self._start(lambda: self._command(command))

    def _poll(self) -> None:
        with self._connect() as client:
            seen: Snapshot | None = None
            looks = 0
            while not self._closed.is_set():
                try:
                    seen = look(client, seen if looks % REREAD_EVERY else None)
                except ShammahError as error:
                    seen = None
                    self._post(DaemonLost(error))
                else:
                    self._post(DaemonSeen(seen))
                looks += 1
                if self._asked.wait(POLL_SECONDS):
                    self._asked.clear()
                    looks = 0

    def _follow(self) -> None:
        """Job events from now on; what was missed while the daemon was away, a poll has told."""
        with self._connect() as client:
            while not self._closed.is_set():
                try:
                    for event in client.job_events(after=-1):
                        self._post(JobMoved(event))
                except ShammahError:
                    pass  # the poll says so
                self._closed.wait(POLL_SECONDS)

    def _answer(self) -> None:
        with self._connect() as client:
            failure = ""
            while (entry := self._questions.get()) is not None:
                question, reply = entry
                try:
                    answer, failure = question(client), ""
                except ShammahError as error:
                    answer = FetchFailed()
                    # Of an absence the poll tells; a page that looks every second fails as often.
                    if not isinstance(error, DaemonUnreachable) and str(error) != failure:
                        self._post(RequestRefused(error))
                    failure = str(error)
                self._call(reply, answer)

    def _request(self, request: Request, reply: Post, *, and_look: bool = False) -> None:
        with self._connect() as client:
            try:
                answer = request(client)
            except ShammahError as error:
                answer = RequestRefused(error)
        self._call(reply, answer)
        if and_look:
            self.refresh()

    def _work(self, work: Work, reply: Post) -> None:
        with self._connect() as client:
            try:
                for message in work(client):
                    self._call(reply, message)
            except ShammahError as error:
                self._call(reply, RequestRefused(error))

    def _command(self, command: str) -> None:
        done = subprocess.run(
            [*DAEMON_COMMAND, command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        if done.returncode:
            problem = next((line for line in said if line.startswith("error: ")), "")
            hint = next((line for line in said if line.startswith("hint: ")), "")
            failed = ShammahError(
                problem.removeprefix("error: ") or f"'shammah daemon {command}' failed",
                hint=hint.removeprefix("hint: "),
            )
            self._post(RequestRefused(failed))
        else:
            self._post(ChangeMade(said[-1] if said else "the daemon is running"))
        self.refresh()

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=self._run, args=(work,), name="daemon-link", daemon=True).start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._post(LinkBroke(error))  # the app ends with its traceback


def look(client: Client, before: Snapshot | None) -> Snapshot:
    """The present state; jobs and versions are read again only when the status tells of change."""
    status = client.status()
    if before is not None and _outline(status) == _outline(before.status):
        return Snapshot(status, before.jobs, before.versions)
    return Snapshot(status, client.jobs(), client.versions())


def _outline(status: Status) -> tuple[object, ...]:
    """What changes whenever a row of the jobs or the versions does."""
    job, last = status.job, status.last_job
    return (
        status.base,
        status.active_version,
        job and (job.id, job.state),
        last and (last.id, last.state),
        tuple(status.obsolete),
    )


def _only_watching() -> ShammahError:
    return UsageError(
        "this monitor only watches", hint="start it without --read-only to change something"
    )
