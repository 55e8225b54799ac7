"""The page *Logs*: followed, filtered, held still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.running import Daemon

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


async def test_it_follows_filters_and_holds(living: Daemon, watching: Watching) -> None:
    def write(text: str) -> None:
        with (living.paths.logs / "stages.err").open("a") as file:
            file.write(text + "\n")

    async with watching("6", size=(160, 50)) as eye:
        await eye.sees("daemon info")
        write("a stage said this")
        await eye.sees("stages info    a stage said this")
        await eye.presses("o", "o")  # the daemon's, then the stages'
        await eye.sees("source:stages", "a stage said this")
        await eye.sees_no_more("daemon info")
        await eye.presses("space")
        await eye.sees("held still")
        write("and that")
        await eye.presses("space")
        await eye.sees("and that")
