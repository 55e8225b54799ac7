"""The end of a real daemon that streams and trains at the same time."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from shammah.records import JobState
from shammah_daemon.ending import GRACE_SECONDS
from shammah_daemon.stages import STOP_SECONDS
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon, wait_for

#: What the issue allows for the whole end.
LIMIT_SECONDS = 20.0


class Stream(threading.Thread):
    """A long answer, read as it comes by a client that knows only OpenAI's protocol."""

    def __init__(self, daemon: Daemon, tokens: int) -> None:
        super().__init__(daemon=True)
        self._daemon, self._tokens = daemon, tokens
        self.data: list[str] = []
        self.ended_at = 0.0

    def run(self) -> None:
        body = {
            "model": "shammah",
            "messages": [{"role": "user", "content": "Tell me everything."}],
            "stream": True,
            "max_tokens": self._tokens,
            "temperature": 1.5,
        }
        transport = httpx.HTTPTransport(uds=str(self._daemon.paths.socket))
        with (
            httpx.Client(transport=transport, base_url="http://any", timeout=60) as http,
            http.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            lines = (line for line in response.iter_lines() if line.startswith("data: "))
            for line in lines:
                self.data.append(line.removeprefix("data: "))
        self.ended_at = time.monotonic()

    @property
    def ends(self) -> list[object]:
        """Finish reasons and errors, in the order of their chunks."""
        chunks = [json.loads(data) for data in self.data if data != "[DONE]"]
        reasons = [c["choices"][0]["finish_reason"] for c in chunks if c.get("choices")]
        errors = [chunk["error"]["type"] for chunk in chunks if "error" in chunk]
        return [reason for reason in reasons if reason] + errors


@contextmanager
def streaming(daemon: Daemon, tokens: int) -> Iterator[Stream]:
    stream = Stream(daemon, tokens)
    stream.start()
    wait_for(lambda: len(stream.data) >= 3)
    yield stream
    stream.join(30)
    assert not stream.is_alive()


def ends_in(daemon: Daemon) -> float:
    """Seconds until the process has ended well, from now."""
    process, began = daemon.process, time.monotonic()
    assert process is not None
    assert process.wait(30) == 0
    daemon.process = None
    return time.monotonic() - began


def test_answers_finish_and_a_stopped_lesson_leaves_a_checkpoint(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(TINY_LESSON | {"SHAMMAH_TRAINING__MIN_STEPS": "10000"})
    assert daemon.process is not None
    with daemon.client as client:
        answer = client.chat([{"role": "user", "content": "Who feeds the cats?"}], max_tokens=2)
        client.feedback("critical", answer.id, correction="Mrs. Okonjo does.")  # type: ignore[arg-type]
        job = client.train()
        log = daemon.paths.job(job.id) / "log.jsonl"
        wait_for(lambda: log.exists() and log.read_text())
    [trainer] = daemon.children("shammah.training")
    with streaming(daemon, tokens=40) as stream:  # while it lasts the lesson is stopped
        began = time.monotonic()
        daemon.process.terminate()
        seconds = ends_in(daemon)
    assert seconds < LIMIT_SECONDS
    cut_short = stream.ends == ["EngineError"]  # only where this machine is very slow
    assert cut_short or stream.ends in (["length"], ["stop"])
    assert cut_short == (stream.ended_at - began >= GRACE_SECONDS)
    assert stream.data[-1] == "[DONE]"
    assert not trainer.is_running()
    steps = [int(folder.name) for folder in (daemon.paths.job(job.id) / "checkpoints").iterdir()]
    assert max(steps) == len(log.read_text().splitlines())
    daemon.start()
    with daemon.client as client:
        assert client.job(job.id).state not in (JobState.FAILED, JobState.CANCELLED)
        client.cancel_job(job.id)


def test_at_a_second_signal_an_answer_is_told_that_it_is_cut_short(daemon: Daemon) -> None:
    assert daemon.process is not None
    with streaming(daemon, tokens=2000) as stream:
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert daemon.process.poll() is None
        daemon.process.send_signal(signal.SIGINT)
        seconds = ends_in(daemon)
    assert stream.ended_at - began < GRACE_SECONDS
    assert seconds < LIMIT_SECONDS
    assert stream.ends == ["EngineError"]
    assert stream.data[-1] == "[DONE]"
    daemon.start()
    with daemon.client as client:
        assert client.why().question == "Tell me everything."


def test_both_waits_together_are_short_enough() -> None:
    assert GRACE_SECONDS + STOP_SECONDS < LIMIT_SECONDS


@pytest.mark.skipif(os.getuid() != 0, reason="only root may make a process id namespace")
def test_a_daemon_that_is_process_1_keeps_its_children(start_daemon: StartDaemon) -> None:
    """As in a container without an init."""
    daemon = start_daemon()
    daemon.stop()
    daemon.start(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    with daemon.client as client:
        assert client.health().pid == 1
        answer = client.chat([{"role": "user", "content": "Are you there?"}], max_tokens=2)
        assert answer.usage.completion_tokens
