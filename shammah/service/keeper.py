"""What every service manager can do for the daemon, whichever it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shammah.errors import Conflict, ShammahError
from shammah.service.installation import Installation


@dataclass(frozen=True)
class State:
    """How the service stands; all false where it is not installed."""

    file: Path
    installed: bool = False
    enabled: bool = False
    running: bool = False


class Keeper(Protocol):
    """A service manager: systemd's for the user, or launchd."""

    @property
    def name(self) -> str: ...

    @property
    def file(self) -> Path: ...

    def text(self, installation: Installation) -> str:
        """The service file."""

    def require(self) -> None:
        """Raises ShammahError where the manager is not there or does not answer."""

    def home(self) -> Path | None:
        """Whose daemon the installed service is; None: none is installed, or it is not ours."""

    def state(self) -> State:
        """Where it cannot be asked, enabled and running are false."""

    def load(self) -> None:
        """Take notice of the file, and start with the session from now on."""

    def unload(self) -> None:
        """Stop the service, and start it no more."""

    def forget(self) -> None:
        """Take notice that the file is gone."""

    def remark(self) -> str | None:
        """What the user should know of a service that was just installed."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a manager's command and keep what it says."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


def require_success(done: subprocess.CompletedProcess[str], hint: str) -> None:
    """Raises ShammahError, in the command's own words, where it failed."""
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ShammahError(f"'{' '.join(done.args)}' failed: {lines[-1]}", hint=hint)


def require_program(name: str, what: str) -> None:
    """Raises ShammahError where the program `name` is not on the path."""
    if shutil.which(name) is None:
        raise ShammahError(f"{name} is not installed: {what}", hint=WITHOUT)


def require_ours(keeper: Keeper) -> None:
    """Raises Conflict where the file is there and somebody else wrote it."""
    if keeper.file.exists() and keeper.home() is None:
        raise Conflict(
            f"{keeper.file} was not written by shammah", hint="move it away, then install again"
        )


def keeper_of(home: Path) -> Keeper | None:
    """The manager that keeps the daemon of `home`, if it is to."""
    keeper = of_platform()
    return keeper if keeper.home() == home and keeper.state().enabled else None


def state_for(keeper: Keeper, home: Path) -> State:
    """The state, as far as it is about `home`."""
    return keeper.state() if keeper.home() == home else State(keeper.file)


def of_platform(platform: str = sys.platform) -> Keeper:
    """The service manager of this system."""
    from shammah.service.launchd import Launchd
    from shammah.service.systemd import Systemd

    return Launchd.of_user() if platform == "darwin" else Systemd.of_user()


def in_words(state: State) -> str:
    if not state.installed:
        return "not installed"
    enabled = "enabled" if state.enabled else "not enabled"
    return f"installed, {enabled}, {'running' if state.running else 'not running'}"


#: What to do where nothing keeps services.
WITHOUT = "'shammah daemon start' starts the daemon without it; '--print' shows the service file"
