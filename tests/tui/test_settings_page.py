"""The page *Settings*: shown, changed, refused, reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shammah import config
from shammah.paths import Paths

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


async def test_a_setting_is_found_changed_and_reset(paths: Paths, watching: Watching) -> None:
    async with watching("7") as eye:
        await eye.sees("engine.slots")
        await eye.presses("slash")
        await eye.types("lora rank")
        await eye.sees("training.rank", "at least 1, at most 512")
        await eye.presses("escape", "e")
        await eye.sees("Enter saves")
        await eye.presses("ctrl+u", "0", "enter")
        await eye.sees("greater than or equal to 1")  # said where it was typed
        await eye.presses("backspace", "8", "enter")
        await eye.sees("the daemon still works with 32", "1 change for the next start")
        assert config.get(paths.config_file, "training.rank") == 8
        await eye.presses("d")
        await eye.sees("32, the default")
    assert config.get(paths.config_file, "training.rank") == 32


async def test_what_the_environment_sets_cannot_be_changed(watching: Watching) -> None:
    async with watching("7") as eye:
        await eye.sees("engine.slots")
        await eye.presses("slash")
        await eye.types("training.epochs")
        await eye.sees("24, from the environment of the daemon")
        await eye.presses("escape", "e")
        await eye.sees("SHAMMAH_TRAINING__EPOCHS")
