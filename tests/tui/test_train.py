"""The page *Train*: what is there to teach, how, what fits the machine, and the start."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import DataTable, Input, Select

from shammah.client import Client
from shammah.protocol import PlanView, SettingView
from shammah.records import LessonMode, Mode, Preset
from shammah_tui.wish import Wish, options, own
from tests.tui.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.tui.conftest import Eye, Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


class Pondering(Client):
    """Plans only when it is let."""

    def __init__(self, place: Path, may: threading.Event, asked: list[str]) -> None:
        """`asked`: takes the preset of each question."""
        super().__init__(place)
        self._may, self._asked = may, asked

    def plan(
        self,
        mode: LessonMode = Mode.CONSOLIDATE,
        preset: Preset = "standard",
        options: Mapping[str, Any] | None = None,
    ) -> PlanView:
        self._asked.append(preset)
        assert self._may.wait(PATIENCE_SECONDS)
        return super().plan(mode, preset, options)


async def test_shows_what_it_teaches_what_fits_this_machine_and_what_it_takes(
    watching: Watching,
) -> None:
    async with watching("9", size=(160, 50)) as eye:
        await eye.sees("ready: ", "critical", "not learned yet", "for you (3, i)")
        await eye.sees("from the base, on every ready example")
        await eye.sees("micro-batch", "accumulation", "activations", "of it training", "basis")
        await eye.presses("m")
        await eye.sees("from version 1, on what is new and a sample of the rest")


async def test_a_preset_changes_the_settings_of_the_lesson(watching: Watching) -> None:
    async with watching("9", size=(160, 50)) as eye:
        await eye.sees("learning_rate", "as usual")
        choose(eye, "epochs")
        await eye.sees("passes over the quota")
        assert row(eye)[2:] == ["24", "24"]
        await eye.presses("p")
        await eye.until(lambda: row(eye)[2:] == ["5", "5"])  # deep
        await eye.presses("p")
        await eye.sees("the preset custom needs a setting of its own")
        await eye.presses("t")
        await eye.pilot.pause()
        assert eye.app.screen.id == "page-train"
        eye.app.screen.query_one("#preset", Select).value = "quick"
        await eye.until(lambda: row(eye)[2:] == ["2", "2"])
        await eye.sees("micro-batch")


async def test_e_changes_a_setting_for_this_lesson_and_says_what_it_may_not_be(
    client: Client, watching: Watching
) -> None:
    usual = client.settings()
    async with watching("9", size=(160, 50)) as eye:
        await eye.sees("rank", "as usual")
        choose(eye, "rank")
        await eye.presses("e")
        await eye.sees("training.rank", "Enter saves")
        eye.app.screen.query_one("#value", Input).value = "0"
        await eye.presses("enter")
        await eye.sees("rank = 0: Input should be greater than or equal to 1")
        eye.app.screen.query_one("#value", Input).value = "8"
        await eye.presses("enter")
        await eye.sees_no_more("Enter saves")
        await eye.sees("1 own value")
        assert row(eye) == ["•", "rank", "8", "32"]
        await eye.presses("d")
        await eye.sees("as usual")
        assert row(eye) == ["", "rank", "32", "32"]
    assert client.settings() == usual


async def test_t_starts_the_lesson_as_it_was_chosen_and_shows_it(
    client: Client, watching: Watching
) -> None:
    async with watching("9", size=(160, 50)) as eye:
        await eye.sees("rank", "micro-batch")
        choose(eye, "rank")
        await eye.presses("enter")
        await eye.sees("Enter saves")
        eye.app.screen.query_one("#value", Input).value = "4"
        await eye.presses("enter")
        await eye.sees("1 own value")
        await eye.presses("p", "t")
        await eye.sees("is queued")
        await eye.until(lambda: eye.app.screen.id == "page-job")
        job = client.jobs()[0]
        client.cancel_job(job.id)
    assert (job.mode, job.preset, job.options) == ("consolidate", "deep", {"rank": 4})


async def test_one_plan_is_asked_for_at_a_time_and_the_last_one_is_shown(
    watching: Watching,
) -> None:
    may, asked = threading.Event(), list[str]()
    async with watching(
        "9", size=(160, 50), reach=lambda place: Pondering(place, may, asked)
    ) as eye:
        await eye.sees("asking …", "as usual")
        await eye.presses("p", "p", "p")  # deep, custom, quick
        await eye.pilot.pause()
        assert asked == ["standard"]
        may.set()
        await eye.sees_no_more("asking …")
        assert asked == ["standard", "quick"]
        await eye.sees("micro-batch")


async def test_one_that_only_watches_plans_but_starts_nothing(
    client: Client, watching: Watching
) -> None:
    before = client.jobs()
    async with watching("9", read_only=True) as eye:
        await eye.sees("micro-batch")
        assert not eye.offers("Train")
        await eye.presses("t", "p")
        await eye.sees("deep")
        assert eye.app.screen.id == "page-train"
    assert client.jobs() == before


def test_only_what_differs_from_the_preset_is_sent() -> None:
    settings = [setting("epochs", "3"), setting("rank", "32"), setting("optim", "adamw")]
    typed = {"epochs": "5", "rank": "16", "optim": "sgd"}
    assert own(options(settings, Wish(typed=typed))) == {"epochs": 5, "rank": 16, "optim": "sgd"}
    deep = options(settings, Wish(preset="deep", typed=typed))
    assert own(deep) == {"rank": 16, "optim": "sgd"}
    assert [one.usual for one in deep] == ["5", "32", "adamw"]


def setting(name: str, value: str) -> SettingView:
    return SettingView(
        key=f"training.{name}",
        description="",
        limits="",
        default=value,
        running=value,
        value=value,
        source="default",
    )


def choose(eye: Eye, name: str) -> None:
    """Put the cursor on a setting."""
    table = eye.app.screen.query_one(DataTable)
    names = [str(table.get_row_at(number)[1]) for number in range(table.row_count)]
    table.move_cursor(row=names.index(name))


def row(eye: Eye) -> list[str]:
    """The cells of the chosen setting."""
    table = next(iter(eye.app.screen_stack)).query_one(DataTable)
    return [str(cell) for cell in table.get_row_at(table.cursor_row)]
