"""How every page looks at two sizes, and that it can be read in the dark and in the light.

Pictures as text, with what differs from run to run taken out. To draw them anew after a change
that is meant: `SHAMMAH_DRAW_SNAPSHOTS=1 pytest tests/tui/test_appearance.py`; read the difference.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.color import Color

from shammah.client import Client
from shammah.protocol import (
    EstimateView,
    HardwareHistory,
    HardwareSample,
    HistorySpan,
    PlanLine,
    PlanView,
)
from shammah.records import LessonMode, Mode, Preset
from shammah_tui.page import TITLES
from shammah_tui.searching import FilterLine
from shammah_tui.themes import DARK, LIGHT
from tests.running import Daemon
from tests.tui.conftest import Eye, lived_in, watch
from tests.tui.test_machine import SAMPLE, history
from tests.versions import Taught

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
    "adapters": ("noise", "cannot be loaded"),
    "train": ("micro-batch", "no room now", "as usual"),
}

#: Of a machine whose memory is short.
PLAN = PlanView(
    base="tiny",
    device="cuda",
    precision="bfloat16",
    four_bit=True,
    max_tokens=4096,
    passes=2,
    recompute=True,
    predicted_bytes=9_000_000_000,
    lines=[
        PlanLine(name="device", choice="cuda (Some GPU)", reason="the fastest there is"),
        PlanLine(name="precision", choice="bfloat16", reason="it multiplies bfloat16 natively"),
        PlanLine(
            name="weights",
            choice="4-bit NF4",
            reason="as bfloat16 they take 16.0 GB, 9.6 GB are free",
        ),
        PlanLine(
            name="micro-batch",
            choice="4096 tokens",
            reason="larger ones do not fit: 9.6 GB are free",
        ),
        PlanLine(
            name="accumulation",
            choice="2 passes a step",
            reason="what a step holds, divided by the micro-batch",
        ),
        PlanLine(
            name="activations",
            choice="computed again",
            reason="kept, they do not fit: 9.6 GB are free",
        ),
    ],
    shortage="0.4 GB of memory",
    estimate=EstimateView(
        seconds=754.0,
        training_seconds=601.0,
        memory_bytes=9_000_000_000,
        disk_bytes=2_000_000_000,
        tokens=123_456,
        basis="the pace of job 3",
        kwh=0.021,
        cost=0.006,
    ),
)

#: WCAG 2: large text must differ from its ground by so much; what is only a hint may differ less.
LEAST_CONTRAST = 3.0


class OneMachine(Client):
    """Says of every machine the same."""

    def hardware(self) -> HardwareSample:
        return SAMPLE

    def hardware_history(self, span: HistorySpan = "hour") -> HardwareHistory:
        return history((0, 10.0), (3600, 90.0))

    def plan(
        self,
        mode: LessonMode = Mode.CONSOLIDATE,
        preset: Preset = "standard",
        options: Mapping[str, Any] | None = None,
    ) -> PlanView:
        return PLAN


@dataclass(frozen=True)
class Look:
    """One page as it was drawn."""

    text: str
    pale: dict[str, list[str]]  # by theme: what hardly differs from what it stands on


@pytest.fixture(scope="module")
def untouched(
    taught_home: Taught, tmp_path_factory: pytest.TempPathFactory, noise: Path
) -> Iterator[Daemon]:
    """A daemon that no other test has left anything behind in, with an imported adapter."""
    with lived_in(taught_home.home, tmp_path_factory.mktemp("untouched")) as daemon:
        with daemon.client as client:
            client.import_adapter(noise)
        yield daemon


@pytest.fixture(scope="module", params=SIZES, ids=["80x24", "160x50"])
def looks(request: pytest.FixtureRequest, untouched: Daemon) -> dict[str, Look]:
    """Every page at one size, by the name of its picture."""
    return asyncio.run(visited(untouched, request.param))


async def visited(daemon: Daemon, size: tuple[int, int]) -> dict[str, Look]:
    looks = {}
    async with watch(daemon.paths.socket, size=size, reach=OneMachine) as eye:
        for number, page in enumerate(TITLES, start=1):
            await eye.presses(str(number))
            await complete(eye, page)
            text = lasting(eye)
            looks[f"{page}-{size[0]}x{size[1]}.txt"] = Look(text, await pale_by_theme(eye))
    return looks


def test_every_page_looks_as_it_did(looks: dict[str, Look]) -> None:
    if "SHAMMAH_DRAW_SNAPSHOTS" in os.environ:
        SNAPSHOTS.mkdir(exist_ok=True)
        for name, look in looks.items():
            (SNAPSHOTS / name).write_text(look.text, encoding="utf-8")
    for name, look in looks.items():
        assert look.text == (SNAPSHOTS / name).read_text(encoding="utf-8"), name


def test_all_of_it_can_be_read_in_the_dark_and_in_the_light(looks: dict[str, Look]) -> None:
    for name, look in looks.items():
        assert look.pale == {DARK: [], LIGHT.name: []}, name


async def complete(eye: Eye, page: str) -> None:
    if page == "settings":  # one section: the others grow
        eye.app.screen.query_one(FilterLine).value = "section:gate"
        await eye.sees_no_more("engine.slots")
    await eye.sees(*COMPLETE[page])
    await eye.pilot.pause()


def lasting(eye: Eye) -> str:
    """The screen without curves, bars, figures, hashes and times; runs of blanks count as one."""
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
    text = re.sub(r"\([0-9a-f]{12}\)", "(hash)", text)
    text = re.sub(r"[━╸╺╌]+", "━", text)
    text = re.sub(r"\d+(\.\d+)?(e-\d+)?", "0", text)
    text = re.sub(r"(just started|up 0 min)", "up", text)
    text = re.sub(r"0 [MG]B", "0 GB", text)
    return re.sub(r" {2,}|─{2,}", lambda run: run[0][:2], text) + "\n"


async def pale_by_theme(eye: Eye) -> dict[str, list[str]]:
    found = {}
    for theme in (LIGHT.name, DARK):  # the last one is that of the next page
        eye.app.theme = theme
        await eye.pilot.pause()
        found[theme] = pale(eye)
    return found


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
