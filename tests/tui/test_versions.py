"""The page *Versions*: scores, verdicts, comparing, promoting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Select

from shammah.client import Client
from shammah.records import Preference

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


async def test_shows_scores_and_the_verdict_on_each_example(watching: Watching) -> None:
    async with watching("4", size=(160, 50)) as eye:
        await eye.sees("Q8_0", "learned", "of 3")
        await eye.sees("✓ passed  learned:", "case 1 then", "nats a token")
        await eye.presses("down")
        await eye.sees("version 0 is the base itself")


async def test_p_promotes_after_a_question(client: Client, watching: Watching) -> None:
    async with watching("4") as eye:
        await eye.sees("The gate on version 1, answers now")
        await eye.presses("p")
        await eye.sees("version 1 answers already")
        await eye.presses("down", "p")
        await eye.sees("Let version 0 of tiny answer?")
        await eye.presses("y")
        await eye.sees("version 0 of tiny answers now")
    assert client.status().active_version == 0
    client.rollback(1)


async def test_two_versions_are_compared_and_the_better_one_gets_a_vote(
    client: Client, watching: Watching
) -> None:
    before = client.version(1).votes.won
    async with watching("4", size=(160, 50)) as eye:
        await eye.sees("The gate on version 1")
        await eye.presses("x")
        await eye.sees("A question for both")
        await eye.types("what about case 1")
        await eye.presses("enter")
        await eye.sees("version 0 of tiny", "version 1 of tiny")
        await eye.presses("f7")
        await eye.sees("your vote is kept")
        await eye.presses("escape")
        await eye.sees(f"{before + 1} won")
    assert client.version(1).votes.won == before + 1


async def test_r_shows_what_another_program_has_changed(client: Client, watching: Watching) -> None:
    async with watching("4", size=(160, 50)) as eye:
        await eye.sees("The gate on version 1")
        client.vote(0, 1, Preference.SECOND)
        won = client.version(1).votes.won
        await eye.presses("r")
        await eye.sees(f"{won} won")


async def test_a_comparison_that_is_refused_is_told_once(watching: Watching) -> None:
    async with watching("4", size=(160, 50)) as eye:
        await eye.sees("The gate on version 1")
        await eye.presses("x")
        await eye.sees("A question for both")
        for side in ("#first", "#second"):
            eye.app.screen.query_one(side, Select).value = 1
        await eye.types("what about case 1")
        await eye.presses("enter")
        await eye.sees("version 1 cannot be compared with itself")
        await eye.pilot.pause()
        assert eye.screen.count("cannot be compared with itself") == 1


async def test_d_deletes_no_version_that_answers(client: Client, watching: Watching) -> None:
    async with watching("4") as eye:
        await eye.sees("The gate on version 1, answers now")
        await eye.presses("d")
        await eye.sees("Delete version 1 with its files?")
        await eye.presses("y")
        await eye.sees("version 1 is active", "serve another one first")
    assert client.version(1).active
