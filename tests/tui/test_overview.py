"""The page *Overview* before a daemon at rest; `test_job` shows it one at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shammah.client import Client

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


async def test_shows_the_figures_and_why_no_job_runs(client: Client, watching: Watching) -> None:
    async with watching(size=(160, 50)) as eye:
        await eye.sees("base    tiny", "version 1 · Q8_0", "ready ·", "daemon  pid")
        await eye.sees("1 draft · 1 held", "1 secret", "wait for you")
        await eye.sees("Next job", "more examples; 1 not learned yet", "t trains now")
        await eye.sees("3 opens the examples, i the inbox", "the next lesson takes about")
        await eye.presses("c")  # there is nothing to cancel
        assert len(eye.app.screen_stack) == 1


async def test_b_rolls_back_after_a_question(client: Client, watching: Watching) -> None:
    async with watching() as eye:
        await eye.until(lambda: eye.offers("Roll back"))
        await eye.presses("b")
        await eye.sees("Roll back to the version that answered before?")
        await eye.presses("y")
        await eye.sees("version 0 of tiny answers now")
        await eye.until(lambda: not eye.offers("Roll back"))  # nothing is before the base
    assert client.status().active_version == 0
    client.rollback(1)
