"""The daemon as a unit of systemd's user manager (systemd.unit(5), systemd.service(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from getpass import getuser
from importlib.resources import files
from pathlib import Path
from string import Template
from subprocess import CompletedProcess

from shammah.errors import UsageError
from shammah.service.installation import Installation
from shammah.service.keeper import WITHOUT, State, command, require_program, require_success

UNIT = "shammahd.service"

_JOURNAL = "'journalctl --user --unit shammahd' may say why"
_HOME = "Home="
_NOT_IN_PROGRAMS = set("\"'\\")

#: A file for each user whose services run without a session (loginctl(1)).
_LINGER = Path("/var/lib/systemd/linger")


@dataclass(frozen=True)
class Systemd:
    """Speaks to `systemctl --user`."""

    file: Path
    name: str = "systemd"

    @classmethod
    def of_user(cls) -> Systemd:
        folder = os.environ.get("XDG_CONFIG_HOME")
        config = Path(folder) if folder else Path.home() / ".config"
        return cls(config / "systemd" / "user" / UNIT)

    def text(self, installation: Installation) -> str:
        """Raises UsageError where the program's path holds what systemd takes in no program's."""
        if set(str(installation.program)) & _NOT_IN_PROGRAMS:
            raise UsageError(
                f"systemd runs no program at {installation.program}",
                hint="install Shammah in a folder without quotes and backslashes in its path",
            )
        template = Template(files(__package__).joinpath(UNIT).read_text(encoding="utf-8"))
        variables = [f"{key}={value}" for key, value in installation.environment.items()]
        return template.substitute(
            program=quoted(str(installation.program)),
            environment="\n".join(f"Environment={quoted(variable)}" for variable in variables),
            home=installation.home,
        )

    def require(self) -> None:
        require_program("systemctl", "systemd does not run this system")
        done = command("systemctl", "--user", "show", "--property=Version")
        require_success(done, f"systemd's user manager does not answer here. {WITHOUT}")

    def home(self) -> Path | None:
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        return next((Path(x.removeprefix(_HOME)) for x in lines if x.startswith(_HOME)), None)

    def state(self) -> State:
        if self.home() is None:
            return State(self.file)
        try:
            enabled = _systemctl("is-enabled", UNIT).returncode == 0
            active = _systemctl("is-active", UNIT).stdout.strip()
        except OSError:
            return State(self.file, installed=True)
        running = active in ("active", "activating", "deactivating", "reloading")
        return State(self.file, installed=True, enabled=enabled, running=running)

    def load(self) -> None:
        require_success(_systemctl("daemon-reload"), _JOURNAL)
        require_success(_systemctl("enable", UNIT), _JOURNAL)

    def unload(self) -> None:
        require_success(_systemctl("disable", "--now", UNIT), _JOURNAL)

    def forget(self) -> None:
        require_success(_systemctl("daemon-reload"), _JOURNAL)
        _systemctl("reset-failed", UNIT)  # says no where there was no failure

    def remark(self) -> str | None:
        if (_LINGER / getuser()).exists():
            return None
        return "it runs while you are logged in; 'loginctl enable-linger' lets it run always"

    def start(self) -> None:
        require_success(_systemctl("start", UNIT), _JOURNAL)

    def stop(self) -> None:
        require_success(_systemctl("stop", UNIT), _JOURNAL)


def quoted(text: str) -> str:
    """One word of a unit file: C escapes inside quotes, and % doubled, which begins a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _systemctl(*words: str) -> CompletedProcess[str]:
    return command("systemctl", "--user", *words)
