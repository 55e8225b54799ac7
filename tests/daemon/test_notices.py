"""Notices at a real HTTP server and at a program on the path; and what is never in them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import structlog

from shammah import config
from shammah.config import NotifyConfig
from shammah.errors import ConfigError
from shammah.paths import Paths
from shammah.records import Job, JobState, Mode
from shammah_daemon import notices
from shammah_daemon.notices import Notices, desktop_command, notice_of

SECRET = "the cats are fed by Mrs. Okonjo"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "FIRST_WAIT_SECONDS", 0.001)


class Receiver:
    """A webhook: answers with the given statuses in turn, the last one for ever."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.bodies: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(text))
                left = receiver.statuses
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/s3cret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def job() -> Job:
    """Promoted, with one example learned and one not."""
    verdicts = [
        {"example_id": 1, "verdict": "learned", "reason": SECRET},
        {"example_id": 2, "verdict": "still_wrong", "reason": SECRET},
    ]
    return Job(
        id=7, base="tiny", mode=Mode.QUICK, state=JobState.PROMOTED, attempt=1, version=3,
        error=None, hint=None, created_at="", started_at="", finished_at="",
        report={"summary": SECRET, "verdicts": verdicts, "checks": [{"detail": SECRET}]},
    )  # fmt: skip


async def deliver(job: Job, **settings: Any) -> list[dict[str, Any]]:
    """Tell of the job, wait until that is done, and return what was logged."""
    told = Notices(NotifyConfig(**{"desktop": False, **settings}), platform="linux")
    with structlog.testing.capture_logs() as logged:
        told.job_changed(job)
        await asyncio.gather(*told._tasks)
    return logged  # type: ignore[return-value]


async def test_a_webhook_gets_numbers_and_no_words(receiver: Receiver, job: Job) -> None:
    await deliver(job, webhook=receiver.url)
    assert receiver.bodies == [
        {
            "event": "lesson.ended",
            "job": 7,
            "outcome": "promoted",
            "version": 3,
            "counts": {"learned": 1, "still_wrong": 1},
        }
    ]


async def test_a_rejected_lesson_has_no_version(receiver: Receiver, job: Job) -> None:
    await deliver(replace(job, state=JobState.REJECTED), webhook=receiver.url)
    [body] = receiver.bodies
    assert (body["outcome"], body["version"]) == ("rejected", None)


@pytest.mark.parametrize("state", [JobState.TRAINING, JobState.FAILED, JobState.CANCELLED])
async def test_nothing_is_said_of_a_lesson_that_was_not_judged(
    receiver: Receiver, job: Job, state: JobState
) -> None:
    await deliver(replace(job, state=state, report=None), webhook=receiver.url)
    assert receiver.bodies == []


async def test_a_webhook_that_fails_is_asked_again(receiver: Receiver, job: Job) -> None:
    receiver.statuses = [503, 429, 204]
    await deliver(job, webhook=receiver.url)
    assert len(receiver.bodies) == 3


async def test_one_that_refuses_is_not_and_its_address_is_not_logged(
    receiver: Receiver, job: Job
) -> None:
    receiver.statuses = [403]
    [line] = await deliver(job, webhook=receiver.url)
    assert len(receiver.bodies) == 1
    assert line["status"] == 403
    assert "s3cret" not in str(line)


async def test_one_that_never_works_is_given_up(receiver: Receiver, job: Job) -> None:
    receiver.statuses = [500]
    await deliver(job, webhook=receiver.url)
    assert len(receiver.bodies) == notices.ATTEMPTS
    receiver.server.server_close()
    [line] = await deliver(job, webhook="http://127.0.0.1:1/")
    assert line["event"] == "the webhook cannot be reached"


async def test_the_desktop_is_told_by_notify_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Job
) -> None:
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/said\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    await deliver(job, desktop=True)
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["--app-name=Shammah", "Shammah", "Learned 1 of 2. Version 3 answers now."]


async def test_without_notify_send_one_line_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Job
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [line["missing"] for line in await deliver(job, desktop=True)] == ["notify-send"]


async def test_a_desktop_program_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Job
) -> None:
    monkeypatch.setattr(notices, "TIMEOUT_SECONDS", 0.1)
    program = tmp_path / "notify-send"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    [line] = await deliver(job, desktop=True)
    assert line["code"] == -signal.SIGKILL


def test_on_macos_the_desktop_is_told_by_osascript(job: Job) -> None:
    notice = notice_of(replace(job, state=JobState.REJECTED))
    assert notice is not None
    assert "rejected (1 of 2 learned)" in notice.text
    script = desktop_command(notice.text, "darwin")
    assert script[:2] == ["osascript", "-e"]
    assert script[2].count('"') == 4  # the text closes no quotes


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example/x", "http://localhost:8080/", "http://127.0.0.9/", "http://[::1]/"],
)
def test_an_address_that_keeps_secrets_is_taken(home: Paths, url: str) -> None:
    assert config.set_value(home.config_file, "notify.webhook", url) == url


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/x", "http://127.0.0.1.evil.example/", "ftp://localhost", "https://"],
)
def test_an_address_that_does_not_is_refused(home: Paths, url: str) -> None:
    with pytest.raises(ConfigError, match=r"notify\.webhook"):
        config.set_value(home.config_file, "notify.webhook", url)


def test_no_webhook_is_told_unless_it_is_named() -> None:
    assert NotifyConfig().webhook == ""
