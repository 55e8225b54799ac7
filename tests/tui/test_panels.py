"""The panels of figures."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from shammah_tui.panels import AbsencePanel


class Absence(App[None]):
    def compose(self) -> ComposeResult:
        yield AbsencePanel()


@pytest.mark.parametrize(
    ("hint", "can_start", "said"),
    [
        ("start it", True, "start it, or press S here"),
        ("start it", False, "start it"),
        ("", True, "press S here"),
        ("", False, ""),
    ],
)
async def test_what_can_be_done_about_an_absent_daemon(
    hint: str, can_start: bool, said: str
) -> None:
    async with Absence().run_test() as pilot:
        panel = pilot.app.query_one(AbsencePanel)
        panel.show("no daemon answers", hint, can_start=can_start)
        assert str(panel.line("remedy").content) == said
