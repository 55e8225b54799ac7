"""`shammah adapters` against the stand-in: what is printed where, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shammah.cli.adapters import _names
from shammah.protocol import AdapterPart, AdapterView, ExportEvent
from tests.cli.fake.shammah_daemon.app import State, adapter_view

if TYPE_CHECKING:
    from tests.cli.conftest import Shammah

pytestmark = pytest.mark.timeout(60)


def test_adapters_are_listed_and_shown(shammah: Shammah) -> None:
    listed = shammah("adapters", "list").stdout
    assert "version-1" in listed
    assert "1 MB" in listed
    [found] = json.loads(shammah("adapters", "list", "--json").stdout)
    assert AdapterView.model_validate(found) == adapter_view("version-1", version=1)
    shown = shammah("adapters", "show", "version-1").stdout
    assert "32 (times 2)" in shown
    assert f"{'1' * 64}  adapter.gguf" in shown
    assert json.loads(shammah("adapters", "show", "version-1", "--json").stdout) == found


def test_an_unknown_adapter_is_named(shammah: Shammah) -> None:
    done = shammah("adapters", "show", "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: no adapter is called 'none'\nhint: 'shammah adapters list' shows them\n"
    )


def test_loading_says_what_follows_and_the_status_shows_it(shammah: Shammah) -> None:
    done = shammah("adapters", "load", "version-1", "--scale", "0.5")
    assert done.stdout == (
        "version-1 is loaded at scale 0.5: it is added to every answer from now on\n"
    )
    assert "version-1 at 0.5" in shammah("status").stdout
    assert shammah("adapters", "list").stdout.splitlines()[1].startswith("*")
    assert "at scale 0.5" in shammah("adapters", "show", "version-1").stdout
    assert shammah("adapters", "unload", "version-1").stdout == "version-1 is unloaded\n"
    assert json.loads(shammah("adapters", "load", "version-1", "--json").stdout)["scale"] == 1.0


@pytest.mark.parametrize("scale", ["0", "-1", "101", "nan"])
def test_a_scale_without_sense_is_a_usage_error(shammah: Shammah, scale: str) -> None:
    assert shammah("adapters", "load", "version-1", "--scale", scale).returncode == 2
    assert shammah("adapters", "merge", f"version-1={scale}", "--to", "x").returncode == 2


def test_importing_says_how_it_is_used_and_what_is_doubtful(
    shammah: Shammah, tmp_path: Path
) -> None:
    done = shammah("adapters", "import", str(tmp_path / "style"))
    assert done.stdout == "style is imported: 'shammah adapters load style' adds it\n"
    assert done.stderr == ""
    doubtful = shammah("adapters", "import", str(tmp_path), "--name", "doubtful", "--json")
    assert doubtful.stderr == "it says that it was made for 'x'\n"
    assert json.loads(doubtful.stdout)["origin"] == str(tmp_path)


def test_an_export_prints_where_it_is(shammah: Shammah, stand_in: State, tmp_path: Path) -> None:
    destination = tmp_path / "out"
    done = shammah("adapters", "export", "version-1", str(destination), "--as", "gguf")
    assert (done.returncode, done.stdout) == (0, f"{destination}\n")
    merged = shammah(
        "adapters", "merge", "version-1=0.5", "version-1", "--to", str(destination),
        "--quantization", "Q4_K_M", "--json",
    )  # fmt: skip
    event = ExportEvent.model_validate_json(merged.stdout)
    assert (event.path, event.quantization) == (str(destination), "Q8_0")
    assert "written as Q8_0: rows of this base do not fit Q4_K_M" in merged.stderr
    first, second = stand_in.exports
    assert (first.kind, first.quantization) == ("gguf", None)
    assert (second.kind, second.quantization) == ("merged-gguf", "Q4_K_M")
    assert second.adapters == [
        AdapterPart(name="version-1", scale=0.5),
        AdapterPart(name="version-1"),
    ]


def test_an_export_that_fails_on_the_way_fails(shammah: Shammah, tmp_path: Path) -> None:
    done = shammah("adapters", "export", "version-1", str(tmp_path / "full"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("error: the disk is full\nhint: free some space\n")
    assert shammah("adapters", "export", "none", "x").returncode == 1


def test_nothing_is_deleted_unasked(shammah: Shammah, stand_in: State) -> None:
    stand_in.adapters["style"] = adapter_view("style")
    refused = shammah("adapters", "delete", "style")
    assert refused.returncode == 2
    assert refused.stderr == "error: nothing is deleted without a word\nhint: add --yes\n"
    shammah("adapters", "load", "style")
    assert shammah("adapters", "delete", "--yes", "style").stderr == "style is deleted\n"
    assert "style" not in stand_in.adapters
    version = shammah("adapters", "delete", "--yes", "version-1")
    assert version.returncode == 1
    assert "belongs to version 1" in version.stderr


def test_a_shell_is_offered_names(stand_in: State) -> None:
    stand_in.adapters["style"] = adapter_view("style")
    assert _names("st") == [("style", "fake")]
    assert _names("") == [("version-1", "fake"), ("style", "fake")]


def test_without_a_daemon_a_shell_is_offered_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "home"))
    assert _names("") == []
