"""The page *Adapters*: taken in, loaded, written out, merged, deleted."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Select

from shammah.bases.gguf_header import read_header
from shammah.client import Client
from shammah.protocol import AppliedView, ExportEvent, ExportRequest
from shammah.publish import quantizations
from shammah_tui import exporting
from shammah_tui.completing import completed
from tests.running import Daemon
from tests.tui.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.tui.conftest import Eye, Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


class Held(Client):
    """Tells how far an export is only when it is let."""

    def __init__(self, place: Path, may: threading.Event) -> None:
        super().__init__(place)
        self._may = may

    def export_adapters(self, request: ExportRequest) -> Generator[ExportEvent]:
        yield ExportEvent(kind="progress", stage="merging", fraction=0.25)
        assert self._may.wait(PATIENCE_SECONDS)
        yield ExportEvent(kind="progress", stage="merging", fraction=0.5)
        yield from super().export_adapters(request)


@pytest.fixture(scope="module")
def imported(living: Daemon, noise: Path) -> Iterator[str]:
    """An adapter beside that of version 1."""
    with living.client as client:
        yield client.import_adapter(noise, "noise").name
        client.delete_adapter("noise")


async def test_an_adapter_is_taken_in_and_what_is_wrong_is_said_where_it_is_typed(
    client: Client, watching: Watching, noise: Path
) -> None:
    async with watching("8", "i", size=(160, 50)) as eye:
        await eye.sees("Import an adapter")
        await eye.presses("enter")
        await eye.sees("name the folder")
        fill(eye, "#path", f"{noise}-that-is-not-there")
        await eye.presses("enter")
        await eye.sees("give the folder that save_pretrained() has written")
        fill(eye, "#path", str(noise))
        fill(eye, "#name", "version-9")
        await eye.presses("enter")
        await eye.sees("an adapter cannot be called 'version-9'")
        fill(eye, "#name", "mine")
        await eye.presses("enter")
        await eye.sees("mine is imported: l loads it", "2 adapters")
        await eye.presses("down", "d")
        await eye.sees("Delete mine with its files?", "is not touched")
        await eye.presses("n")
        await eye.presses("d", "y")
        await eye.sees("mine is deleted", "1 adapter")
    assert [one.name for one in client.adapters()] == ["version-1"]


@pytest.mark.usefixtures("imported")
async def test_l_loads_with_a_scale_and_u_unloads(client: Client, watching: Watching) -> None:
    async with watching("8", size=(160, 50)) as eye:
        await eye.sees("version-1", "noise", "would count twice")
        assert not eye.offers("Unload")
        await eye.presses("down")
        await eye.sees("rank 4, alpha 8: times 2")
        await eye.presses("l")
        await eye.sees("Load noise")
        for nonsense in ("0", "a lot"):
            fill(eye, "#scale", nonsense)
            await eye.presses("enter")
            await eye.sees(f"{nonsense} is no scale")
        fill(eye, "#scale", "0.5")
        await eye.presses("enter")
        await eye.sees("noise is loaded at scale 0.5", "at 0.5")
        assert client.status().adapters == [AppliedView(name="noise", scale=0.5)]
        await eye.until(lambda: eye.offers("Unload"))
        await eye.presses("u")
        await eye.sees("noise is unloaded")
        await eye.sees_no_more("at 0.5")
    assert client.status().adapters == []


@pytest.mark.usefixtures("imported")
async def test_what_the_daemon_refuses_to_load_is_said_in_the_dialog(watching: Watching) -> None:
    async with watching("8") as eye:
        await eye.sees("version-1")
        await eye.presses("enter")
        await eye.sees("Load version-1")
        await eye.presses("enter")
        await eye.sees("version-1 cannot be loaded", "versions rollback 0")
        await eye.presses("escape")
        await eye.sees_no_more("Load version-1")


@pytest.mark.usefixtures("imported")
async def test_x_writes_an_adapter_and_overwrites_nothing(
    watching: Watching, tmp_path: Path
) -> None:
    async with watching("8", size=(160, 50)) as eye:
        await eye.sees("version-1")
        await eye.presses("x")
        await eye.sees("written as", "folder for PEFT")
        await eye.presses("enter")
        await eye.sees("name the place")
        fill(eye, "#destination", str(tmp_path))
        await eye.presses("enter")
        await eye.sees("name another place, or remove it first")
        assert eye.app.screen.query_one("#quantization").disabled
        eye.app.screen.query_one("#kind", Select).value = "gguf"
        fill(eye, "#destination", str(tmp_path / "out.gguf"))
        await eye.presses("enter")
        await eye.hears("out.gguf is written")
        await eye.sees_no_more("quantized to")
    assert read_header(tmp_path / "out.gguf").fields["general.type"] == "adapter"


@pytest.mark.usefixtures("imported")
async def test_marked_adapters_are_merged_into_one_model(
    watching: Watching, tmp_path: Path
) -> None:
    async with watching("8", size=(160, 50)) as eye:
        await eye.sees("version-1", "noise")
        await eye.presses("space", "down", "space")
        await eye.sees("2 marked: m merges")
        await eye.presses("m")
        await eye.sees("Merge 2 adapters", "version-1 at scale", "noise at scale")
        fill(eye, "#scale-1", "none")
        fill(eye, "#destination", str(tmp_path / "merged.gguf"))
        await eye.presses("enter")
        await eye.sees("none is no scale")
        fill(eye, "#scale-1", "0.5")
        eye.app.screen.query_one("#quantization", Select).value = "F16"
        await eye.presses("enter")
        await eye.hears("merged.gguf is written")
    assert read_header(tmp_path / "merged.gguf").fields["general.file_type"] == 1  # F16


async def test_an_export_that_is_left_goes_on_and_its_end_is_told(
    watching: Watching, tmp_path: Path
) -> None:
    may = threading.Event()
    async with watching("8", size=(160, 50), reach=lambda place: Held(place, may)) as eye:
        await eye.sees("version-1")
        await eye.presses("x")
        await eye.sees("written as")
        fill(eye, "#destination", str(tmp_path / "folder"))
        await eye.presses("enter")
        await eye.sees("merging … Esc leaves it at work", "25%")
        await eye.presses("escape")
        await eye.sees_no_more("written as")
        may.set()
        await eye.hears("folder is written")
    assert (tmp_path / "folder" / "adapter_config.json").exists()


async def test_an_export_that_is_stopped_leaves_nothing(watching: Watching, tmp_path: Path) -> None:
    may = threading.Event()
    async with watching("8", size=(160, 50), reach=lambda place: Held(place, may)) as eye:
        await eye.sees("version-1")
        await eye.presses("m")
        await eye.sees("written as")
        fill(eye, "#destination", str(tmp_path / "merged.gguf"))
        await eye.presses("enter")
        await eye.sees("merging …")
        await eye.presses("f8")
        await eye.sees("stopping …")
        may.set()
        await eye.sees("the export is stopped")
    assert list(tmp_path.iterdir()) == []


async def test_the_adapter_of_a_version_is_not_deleted_here(
    client: Client, watching: Watching
) -> None:
    async with watching("8") as eye:
        await eye.sees("version-1")
        await eye.presses("d")
        await eye.sees("belongs to version 1")
        assert len(eye.app.screen_stack) == 1
    assert client.adapter("version-1")


async def test_one_that_only_watches_changes_no_adapter(watching: Watching) -> None:
    async with watching("8", read_only=True) as eye:
        await eye.sees("version-1")
        for offered in ("Load", "Unload", "Import", "Export", "Merge", "Delete"):
            assert not eye.offers(offered)
        await eye.presses("l", "i", "x", "space", "m", "d", "enter")
        await eye.pilot.pause()
        assert len(eye.app.screen_stack) == 1
        assert "1 marked" not in eye.screen


def test_a_path_is_completed_to_the_first_that_begins_so(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "answer.txt").touch()
    assert completed(f"{tmp_path}/a") == f"{tmp_path}/adapters/"
    assert completed(f"{tmp_path}/an") == f"{tmp_path}/answer.txt"
    assert completed(f"{tmp_path}/") is None
    assert completed(f"{tmp_path}/x") is None
    assert completed(f"{tmp_path}/nowhere/x") is None


def test_every_quantization_is_offered() -> None:
    assert list(exporting.QUANTIZATIONS) == list(quantizations.QUANTIZATIONS)


def fill(eye: Eye, field: str, text: str) -> None:
    """Put `text` where the user would type it."""
    eye.app.screen.query_one(field, Input).value = text
