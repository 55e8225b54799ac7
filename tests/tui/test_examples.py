"""The page *Examples* and the inbox."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shammah.client import Client
from shammah.protocol import ExampleView, FeedbackReceipt
from shammah.records import ExampleStatus, Level
from shammah_tui.messages import InboxFetched
from tests.tui.conftest import PATIENCE_SECONDS, mark

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


class Slow(Client):
    """Changes an example only when it is let."""

    def __init__(self, place: Path, may: threading.Event, asked: list[int]) -> None:
        """`asked`: takes the id of each example that is to be changed."""
        super().__init__(place)
        self._may, self._asked = may, asked

    def fix(
        self, correction: str, example_id: int | None = None, *, inference_id: str | None = None
    ) -> FeedbackReceipt:
        self._wait(example_id)
        return super().fix(correction, example_id, inference_id=inference_id)

    def discard(self, example_id: int) -> ExampleView:
        self._wait(example_id)
        return super().discard(example_id)

    def _wait(self, example_id: int | None) -> None:
        self._asked.append(example_id or 0)
        assert self._may.wait(PATIENCE_SECONDS)


async def test_words_and_fields_filter(watching: Watching) -> None:
    async with watching("3", size=(160, 50)) as eye:
        await eye.sees("the bin collected", "case 1 then")
        await eye.presses("slash")
        await eye.types("status:ready case 1")
        await eye.sees_no_more("the bin collected")
        await eye.sees("1 of ", "yes we agree indeed")
        await eye.presses("escape", "s")  # the next status
        await eye.sees_no_more("1 of ")


async def test_e_mends_the_answer_and_shows_what_changes(
    client: Client, watching: Watching
) -> None:
    example = mark(client, "What is the boat called?", "The boat is Ida.", Level.MEDIUM)
    async with watching("3", size=(160, 50)) as eye:
        await eye.sees("What is the boat called?", "The boat is Ida.")
        await eye.presses("e")
        await eye.sees("The right answer", "Changed from the answer given")
        await eye.types(" And red.")
        await eye.presses("ctrl+s")
        await eye.sees("The boat is Ida. And red.")
    assert client.example(example).target == "The boat is Ida. And red."
    client.forget(example)


async def test_what_is_typed_stays_until_the_daemon_has_taken_it(
    client: Client, watching: Watching
) -> None:
    example = mark(client, "What is the dog called?", "The dog is Rex.")
    async with watching("3", size=(160, 50)) as eye:
        await eye.sees("What is the dog called?")
        await eye.presses("e")
        await eye.sees("The right answer")
        client.forget(example)
        await eye.types(" And old.")
        await eye.presses("ctrl+s")
        await eye.sees(f"example {example} was forgotten", "ask its question again")
        await eye.sees("The dog is Rex. And old.")
        await eye.presses("escape")
        await eye.sees("this is not saved", "The dog is Rex. And old.")
        await eye.presses("escape")
        await eye.sees_no_more("The right answer")


async def test_esc_leaves_at_once_what_was_not_changed(client: Client, watching: Watching) -> None:
    example = mark(client, "What is the cow called?", "The cow is Berta.")
    async with watching("3") as eye:
        await eye.sees("What is the cow called?")
        await eye.presses("e")
        await eye.sees("The right answer")
        await eye.presses("escape")
        await eye.sees_no_more("The right answer")
    client.forget(example)


async def test_an_answer_that_comes_after_the_dialog_was_left_is_told(
    client: Client, watching: Watching
) -> None:
    example = mark(client, "What is the cat called?", "The cat is Tom.")
    may, asked = threading.Event(), list[int]()
    async with watching("3", size=(160, 50), reach=lambda place: Slow(place, may, asked)) as eye:
        await eye.sees("What is the cat called?")
        await eye.presses("e")
        await eye.sees("The right answer")
        await eye.types(" And grey.")
        await eye.presses("ctrl+s", "ctrl+s")
        await eye.until(lambda: asked)
        await eye.presses("escape", "escape")
        await eye.sees_no_more("The right answer")
        may.set()
        await eye.sees("The cat is Tom. And grey.")
        assert len(eye.app.screen_stack) == 1
    assert asked == [example]
    client.forget(example)


async def test_f_forgets_after_a_question(client: Client, watching: Watching) -> None:
    example = mark(client, "What is the gate code?", "It is on the fridge.", Level.MEDIUM)
    async with watching("3") as eye:
        await eye.sees("What is the gate code?")
        await eye.presses("f")
        await eye.sees(f"Forget example {example} for ever?")
        await eye.presses("n")
        await eye.sees("It is on the fridge.")
        await eye.presses("f")
        await eye.sees(f"Forget example {example} for ever?")
        await eye.presses("y")
        await eye.sees_no_more("It is on the fridge.")
    assert client.example(example).status is ExampleStatus.FORGOTTEN


async def test_the_inbox_is_gone_through(client: Client, watching: Watching) -> None:
    first = mark(client, "Where is the ladder?", "In the shed.", Level.MEDIUM)
    second = mark(client, "Where is the ladder?", "In the attic.", Level.MEDIUM)
    draft = mark(client, "Who fixes the roof?", None, Level.CRITICAL)
    async with watching("3", "i", size=(160, 50)) as eye:
        await eye.sees("May hold a secret", "looks like", "password")
        assert "Newer" not in eye.screen  # only what can be answered is offered
        await eye.presses("s")
        await eye.sees("Two answers to one question")
        if "Where is the ladder?" not in eye.screen:
            await eye.presses("s")
        await eye.sees("In the shed.", "attic.")
        await eye.presses("o")
        await eye.sees(f"example {first} holds")
        while "Who fixes the roof?" not in eye.screen:
            assert "Skip" in eye.screen
            await eye.presses("s")
        await eye.sees("No right answer yet")
        await eye.presses("e")
        await eye.sees("The right answer")
        await eye.presses("f7", "delete")  # all of it
        await eye.types("Tom does.")
        await eye.presses("ctrl+s")
        await eye.until(lambda: client.example(draft).target == "Tom does.")
    assert client.example(second).status is ExampleStatus.SUPERSEDED
    for example in (first, second, draft):
        client.forget(example)


async def test_the_inbox_takes_one_answer_at_a_time(client: Client, watching: Watching) -> None:
    draft = mark(client, "Who mends the fence?", None)
    may, asked = threading.Event(), list[int]()
    async with watching("3", "i", reach=lambda place: Slow(place, may, asked)) as eye:
        await eye.sees("May hold a secret")
        while "Who mends the fence?" not in eye.screen:
            assert "Skip" in eye.screen
            await eye.presses("s")
        await eye.presses("d", "d")
        await eye.until(lambda: asked)
        may.set()
        await eye.sees(f"example {draft} is discarded")
    assert asked == [draft]
    client.forget(draft)


async def test_the_inbox_has_its_help_and_q_leads_back_to_the_examples(watching: Watching) -> None:
    async with watching("3", "i", size=(160, 50)) as eye:
        await eye.sees("May hold a secret")
        await eye.presses("f1")
        await eye.sees("Help: Inbox", "Learn it although it may hold a secret")
        await eye.presses("escape")
        await eye.sees_no_more("Help: Inbox")
        await eye.presses("q")
        await eye.sees("in the inbox (i)")


async def test_an_inbox_that_is_empty_closes_itself_and_nothing_else(watching: Watching) -> None:
    async with watching("3", "i", size=(160, 50)) as eye:
        await eye.sees("May hold a secret")
        inbox = eye.app.screen
        await eye.presses("e")
        await eye.sees("The right answer")
        inbox.post_message(InboxFetched([]))
        await eye.pilot.pause()
        assert "The right answer" in eye.screen  # not what stands above it
        await eye.presses("escape")
        await eye.sees("May hold a secret")
        inbox.post_message(InboxFetched([]))
        inbox.post_message(InboxFetched([]))
        await eye.sees("nothing waits for you", "in the inbox (i)")
