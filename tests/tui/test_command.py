"""`shammah tui` as a user starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from shammah.errors import ShammahError
from shammah_tui import __main__ as command

pytestmark = pytest.mark.timeout(240, func_only=True)


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "home"))


def test_it_opens_on_a_terminal_and_q_leaves_it() -> None:
    monitor = pexpect.spawn(
        sys.executable, ["-m", "shammah.cli", "tui"], dimensions=(24, 80), timeout=60
    )
    monitor.expect("No daemon")
    monitor.send("q")
    monitor.expect(pexpect.EOF)
    monitor.close()
    assert monitor.exitstatus == 0


def test_it_refuses_to_draw_on_what_is_not_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shammah.cli", "tui"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the monitor needs a terminal\n"
        "hint: 'shammah tui --web' shows it in a browser, 'shammah status' prints the figures\n"
    )


def test_an_error_without_a_hint_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(*_arguments: object, **_options: object) -> int:
        raise ShammahError("the daemon answered 418")

    monkeypatch.setattr(sys, "argv", ["shammah tui"])
    monkeypatch.setattr(command, "show", show)
    with pytest.raises(SystemExit):
        command.main()
    assert capsys.readouterr().err == "error: the daemon answered 418\n"
