"""The completion that a shell gets, from the installed command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHAMMAH = Path(sys.executable).with_name("shammah")


def run(*command: str, **environment: str) -> str:
    path = f"{SHAMMAH.parent}:/usr/bin:/bin"
    done = subprocess.run(
        command, env={"PATH": path, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_bash_completes_commands() -> None:
    assert shutil.which("bash")
    script = run(str(SHAMMAH), _SHAMMAH_COMPLETE="source_bash")
    asked = (
        "COMP_WORDS=(shammah ses); COMP_CWORD=1; _shammah_completion shammah; echo ${COMPREPLY[@]}"
    )
    assert run("bash", "-c", f"{script}\n{asked}").strip() == "sessions"


@pytest.mark.parametrize(
    ("shell", "more"), [("zsh", {}), ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"})]
)
def test_zsh_and_fish_get_commands_with_what_they_do(shell: str, more: dict[str, str]) -> None:
    arguments = {"_SHAMMAH_COMPLETE": f"complete_{shell}", **more}
    said = run(str(SHAMMAH), _TYPER_COMPLETE_ARGS="shammah sessions ex", **arguments)
    assert "export" in said
    assert "Write one as markdown" in said
    assert "_SHAMMAH_COMPLETE" in run(str(SHAMMAH), _SHAMMAH_COMPLETE=f"source_{shell}")
