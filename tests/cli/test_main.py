"""The edge of the command line: errors, signals, a reader that goes away, and how fast it is."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shammah import __version__, cli
from shammah.paths import Paths

if TYPE_CHECKING:
    from tests.cli.conftest import Shammah

COMMAND = [sys.executable, "-m", "shammah.cli"]


def run_main(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of `main` when a command raises `error`."""

    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(cli, "run", fail)
    with pytest.raises(SystemExit) as done:
        cli.main()
    return int(done.value.code or 0)


def test_version(process: Shammah) -> None:
    assert process("--version").stdout == f"shammah {__version__}\n"


def test_an_unexpected_error_is_said_in_one_line_and_logged(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, ValueError("odd\nthing")) == 1
    log = paths.logs / "shammah.log"
    said = capsys.readouterr().err
    assert said == f"error: unexpected ValueError: odd (the traceback is in {log})\n"
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_an_interrupt_ends_with_130(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("stand_in")
def test_ctrl_c_in_the_middle_of_an_answer_ends_with_130() -> None:
    with subprocess.Popen(
        [*COMMAND, "ask", "slow"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(5) == "word0"
        asking.send_signal(signal.SIGINT)
        assert asking.wait(5) == 130


@pytest.mark.usefixtures("stand_in")
def test_a_reader_that_goes_away_is_no_noise() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "status"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1


def test_help_answers_at_once_and_loads_nothing_heavy() -> None:
    heavy = ("httpx", "rich", "prompt_toolkit", "pydantic", "torch", "llama_cpp")
    script = (
        "import sys, runpy; sys.argv = ['shammah', '--help']\n"
        "try: runpy.run_module('shammah.cli', run_name='__main__')\n"
        f"except SystemExit: print(set(sys.modules) & set({heavy!r}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "Usage:" in done.stdout
    assert done.stderr == "set()\n"


def test_help_takes_less_than_150_ms_of_processor_time() -> None:
    """Or, where the machine is slow just now, less than twice what typer itself takes."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # Other work on the machine can only make it slower: the quickest run is what it takes.
    typer = min(seconds(sys.executable, "-c", "import typer") for _ in range(20))
    assert min(seconds(*COMMAND, "--help") for _ in range(20)) < max(0.15, 2 * typer)
