"""A turn apart from HTTP: what holds up nobody else, and what may fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from shammah.bases.template import ChatTemplate
from shammah.config import ChatConfig
from shammah.engine.handle import Engine
from shammah.errors import DiskFull
from shammah.records import Active, Message
from shammah_daemon.chat import Chat, Recorder, prompt_tokens
from shammah_daemon.corrections import Corrections
from shammah_daemon.database import Database
from shammah_daemon.metrics import Metrics
from shammah_daemon.naming import Naming
from shammah_daemon.serving import Lease
from tests.asking import user

ACTIVE = Active("tiny", 0)


class SlowTemplate:
    """Takes its time, as one may that came with a file."""

    def render(self, messages: Sequence[Message]) -> str:
        time.sleep(0.3)
        return "text"


class FakeEngine:
    async def tokenize(self, texts: Sequence[str], *, prompt: bool) -> list[list[int]]:
        return [[1] for _ in texts]


class FullDisk:
    async def run(self, work: Callable[..., object]) -> object:
        raise DiskFull("the disk is full")


async def test_a_slow_template_holds_nobody_up() -> None:
    lease = Lease(cast(Engine, FakeEngine()), ACTIVE, cast(ChatTemplate, SlowTemplate()))
    rendering = asyncio.create_task(prompt_tokens(lease, user()))
    turns = 0
    while not rendering.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 5


async def test_an_answer_that_cannot_be_recorded_keeps_nothing_from_closing() -> None:
    full = cast(Database, FullDisk())
    chat = Chat(ChatConfig(), cast(Naming, None), full, cast(Corrections, None), Metrics())
    turn = Recorder(full, ACTIVE, user(), [], "2026-03-01T12:00:00.000+00:00", None)
    with structlog.testing.capture_logs() as logged:
        chat._save_later(turn)
        await chat.close()
    assert [(line["turn"], line["problem"]) for line in logged] == [(turn.id, "the disk is full")]
