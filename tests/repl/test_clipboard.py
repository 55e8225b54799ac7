"""Where a copied text goes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from shammah.repl.clipboard import copy


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stand-in for xclip and tmux, the only programs that are found, was given."""
    file = tmp_path / "taken"
    for name in ("xclip", "tmux"):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\nread text\nprintf "%s: %s" "{name} $*" "$text" > {file}\n')
        tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    return file


def copied(text: str, environment: dict[str, str]) -> list[str]:
    written: list[str] = []
    copy(text, written.append, environment)
    return written


def test_a_desktop_takes_it_from_its_own_program(taken: Path) -> None:
    assert copied("héllo", {"DISPLAY": ":0"}) == []
    assert taken.read_text() == "xclip -selection clipboard: héllo"


def test_over_ssh_the_terminal_takes_it(taken: Path) -> None:
    [control] = copied("héllo", {"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"})
    assert control == f"\x1b]52;c;{base64.b64encode('héllo'.encode()).decode()}\x07"
    assert not taken.exists()


def test_tmux_passes_it_on(taken: Path) -> None:
    assert copied("hello", {"TMUX": "/tmp/x", "SSH_CONNECTION": "1 2 3 4"}) == []
    assert taken.read_text() == "tmux load-buffer -w -: hello"


def test_a_program_that_fails_leaves_it_to_the_terminal(taken: Path) -> None:
    (taken.parent / "xclip").write_text("#!/bin/sh\nexit 1\n")
    assert len(copied("hello", {"DISPLAY": ":0"})) == 1
