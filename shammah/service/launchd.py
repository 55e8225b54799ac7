"""The daemon as an agent of launchd, macOS's service manager (launchd.plist(5), launchctl(1))."""

from __future__ import annotations

import os
import plistlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shammah.paths import Paths
from shammah.service.installation import Installation
from shammah.service.keeper import WITHOUT, State, command, require_program, require_success

LABEL = "org.shammah.shammahd"

_LOG = "'shammah status' names the folder of the logs"


@dataclass(frozen=True)
class Launchd:
    """Speaks to `launchctl`."""

    file: Path
    name: str = "launchd"

    @classmethod
    def of_user(cls) -> Launchd:
        return cls(Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist")

    def text(self, installation: Installation) -> str:
        agent: dict[str, Any] = {
            "Label": LABEL,
            "ProgramArguments": [str(installation.program)],
            "EnvironmentVariables": installation.environment,
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": 30,  # the daemon ends its children, after answers and a checkpoint
            "Umask": 0o077,
            "StandardErrorPath": str(installation.errors),
            "HardResourceLimits": {"Core": 0},
            "LowPriorityBackgroundIO": True,
        }
        return plistlib.dumps(agent, sort_keys=False).decode()

    def require(self) -> None:
        require_program("launchctl", "launchd does not run this system")
        require_success(
            command("launchctl", "print", _domain()), f"no session of yours is open. {WITHOUT}"
        )

    def home(self) -> Path | None:
        try:
            agent = plistlib.loads(self.file.read_bytes())
        except (OSError, plistlib.InvalidFileException, ValueError):
            return None
        environment = agent.get("EnvironmentVariables", {})
        return Paths.from_environment(environment).data_dir if agent["Label"] == LABEL else None

    def state(self) -> State:
        if self.home() is None:
            return State(self.file)
        try:
            shown = command("launchctl", "print", _service())
        except OSError:
            return State(self.file, installed=True)
        running = shown.returncode == 0 and "state = running" in shown.stdout
        disabled = command("launchctl", "print-disabled", _domain()).stdout
        enabled = not any(f'"{LABEL}" => {no}' in disabled for no in ("disabled", "true"))
        return State(self.file, installed=True, enabled=enabled, running=running)

    def load(self) -> None:
        require_success(command("launchctl", "enable", _service()), _LOG)

    def unload(self) -> None:
        if command("launchctl", "print", _service()).returncode == 0:
            require_success(command("launchctl", "bootout", _service()), _LOG)

    def forget(self) -> None:
        """launchd keeps nothing of a service that was booted out."""

    def remark(self) -> str | None:
        return None

    def start(self) -> None:
        if command("launchctl", "print", _service()).returncode:
            require_success(command("launchctl", "bootstrap", _domain(), str(self.file)), _LOG)
        require_success(command("launchctl", "kickstart", _service()), _LOG)

    def stop(self) -> None:
        """Out of the session: a service that stays loaded could be started again by launchd."""
        self.unload()


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _service() -> str:
    return f"{_domain()}/{LABEL}"
