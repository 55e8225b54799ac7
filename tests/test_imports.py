"""What importing a part of Shammah brings with it, each in a fresh process.

The import-linter contracts in pyproject.toml see our own imports; these see other packages' too.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

#: The design's target for `shammah --help`, and how much slower a busy machine may be.
HELP_SECONDS = 0.15
BUSY_FACTOR = 5

_SHOW_LOADED = "import sys, importlib; importlib.import_module(sys.argv[1]); print(*sys.modules)"


def loaded_by(module: str) -> set[str]:
    """Every module that a new process has after importing `module`."""
    done = subprocess.run(
        [sys.executable, "-c", _SHOW_LOADED, module], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def help_seconds() -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "shammah.cli", "--help"], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("shammah.client", {"torch", "llama_cpp", "textual", "prompt_toolkit"}),
        (
            "shammah_daemon.__main__",
            {"torch", "transformers", "peft", "llama_cpp", "huggingface_hub"},
        ),
        ("shammah.hub.download", {"torch", "transformers", "numpy"}),
        ("shammah.cli", {"typer"}),
        ("shammah.cli.commands", {"httpx", "pydantic", "rich", "prompt_toolkit", "numpy"}),
    ],
)
def test_importing_it_leaves_out_what_it_does_not_need(module: str, unwanted: set[str]) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert not loaded & unwanted


@pytest.mark.alone
def test_help_answers_at_once() -> None:
    assert min(help_seconds() for _ in range(3)) < BUSY_FACTOR * HELP_SECONDS
