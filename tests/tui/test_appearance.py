"""How every page looks at two sizes, and that it can be read in the dark and in the light.

Pictures as text, with what differs from run to run taken out. To draw them anew after a change
that is meant: `SHAMMAH_DRAW_SNAPSHOTS=1 pytest tests/tui/test_appearance.py`; read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.color import Color

from shammah_tui.hardware import HardwarePage
from shammah_tui.messages import HardwareFetched
from shammah_tui.page import TITLES
from shammah_tui.searching import FilterLine
from shammah_tui.themes import DARK, LIGHT
from tests.running import Daemon
from tests.tui.conftest import moved_in
from tests.tui.test_machine import SAMPLE, history

if TYPE_CHECKING:
    from tests.tui.conftest import Eye, Watching

pytestmark = pytest.mark.timeout(240, func_only=True)

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = [(80, 24), (160, 50)]

#: What each page shows when it has all that it asked for.
COMPLETE = {
    "overview": ("engine  ready", "on disk:"),
    "job": ("held-out loss",),
    "examples": ("in the inbox",),
    "versions": ("case 1 then",),
    "hardware": ("Some GPU",),
    "logs": ("daemon info",),
    "settings": ("gate.min_learned", "gate.scales"),
}

#: WCAG 2: large text must differ from its ground by so much; what is only a hint may differ less.
LEAST_CONTRAST = 3.0


@pytest.fixture(scope="module")
def living(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that no other test has left anything behind in."""
    with moved_in(lived_in, tmp_path_factory.mktemp("untouched")) as daemon:
        yield daemon


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
async def test_every_page_looks_as_it_did(size: tuple[int, int], watching: Watching) -> None:
    drawn = {}
    async with watching(size=size) as eye:
        for number, page in enumerate(TITLES, start=1):
            await eye.presses(str(number))
            await complete(eye, page)
            drawn[f"{page}-{size[0]}x{size[1]}.txt"] = lasting(eye)
    if "SHAMMAH_DRAW_SNAPSHOTS" in os.environ:
        SNAPSHOTS.mkdir(exist_ok=True)
        for name, text in drawn.items():
            (SNAPSHOTS / name).write_text(text, encoding="utf-8")
    for name, text in drawn.items():
        assert text == (SNAPSHOTS / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("theme", [DARK, LIGHT.name])
async def test_all_of_it_can_be_read(theme: str, watching: Watching) -> None:
    async with watching() as eye:
        eye.app.theme = theme
        for number, page in enumerate(TITLES, start=1):
            await eye.presses(str(number))
            await complete(eye, page)
            assert pale(eye) == [], f"{page} in {theme}"


async def complete(eye: Eye, page: str) -> None:
    if isinstance(eye.app.screen, HardwarePage):  # the machine under test is another each time
        eye.app.screen._awaited = True
        eye.app.screen.post_message(HardwareFetched(SAMPLE, history((0, 10.0), (3600, 90.0))))
    if page == "settings":  # one section: the others grow
        eye.app.screen.query_one(FilterLine).value = "section:gate"
        await eye.sees_no_more("engine.slots")
    await eye.sees(*COMPLETE[page])
    await eye.pilot.pause()


def lasting(eye: Eye) -> str:
    """The screen without curves, bars, figures and times; runs of blanks count as one."""
    rows = eye.screen.split("\n")
    for varying in eye.app.screen.query("Curves, #log"):
        if not varying.display:
            continue
        region = varying.content_region
        for y in range(region.y, region.bottom):
            rows[y] = rows[y][: region.x] + " " * region.width + rows[y][region.right :]
    text = "\n".join(row.rstrip() for row in rows)
    if eye.app.screen.id == "page-logs":  # which lines there are is a matter of chance
        text = re.sub(r"^│.*│$", "│ a line │", text, flags=re.MULTILINE)
    text = re.sub(r"[━╸╺╌]+", "━", text)
    text = re.sub(r"\d+(\.\d+)?(e-\d+)?", "0", text)
    text = re.sub(r"(just started|up 0 min)", "up", text)
    text = re.sub(r"0 [MG]B", "0 GB", text)
    return re.sub(r" {2,}|─{2,}", lambda run: run[0][:2], text) + "\n"


def pale(eye: Eye) -> list[str]:
    """What hardly differs from what it stands on."""
    found = []
    for strip in eye.app.screen._compositor.render_strips():
        for text, style, _control in strip:
            if not text.strip() or style is None or style.dim or not re.search(r"\w", text):
                continue
            if style.color is None or style.bgcolor is None:
                continue
            if contrast(style.color, style.bgcolor) < LEAST_CONTRAST:
                found.append(text)
    return found


def contrast(one: Color, other: Color) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: Color) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in color.get_truecolor().normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
