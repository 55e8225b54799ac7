"""The page *Examples* and the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shammah.client import Client
from shammah.records import ExampleStatus, Level
from tests.tui.conftest import mark

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


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
