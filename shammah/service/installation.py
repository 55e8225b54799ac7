"""What a service runs: this installation's `shammahd`, in the home that is in use here."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shammah.errors import UsageError
from shammah.paths import Paths

#: What says where the home is. A service does not have the variables of the user's shell, and the
#: daemon must look where the clients look.
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR")


@dataclass(frozen=True)
class Installation:
    """The program with its absolute path, the variables that it needs, and the home."""

    program: Path
    environment: dict[str, str]
    home: Path  # the data folder: whose daemon it is
    errors: Path  # where stderr goes, if the manager keeps no journal

    @classmethod
    def present(cls, paths: Paths, environ: Mapping[str, str] | None = None) -> Installation:
        """The installation that this process runs from.

        Raises:
            UsageError: it has no `shammahd`, or a path holds what no service file can.
        """
        environ = os.environ if environ is None else environ
        program = Path(sysconfig.get_path("scripts")) / "shammahd"
        if not program.is_file():
            raise UsageError(
                f"there is no {program}", hint="install Shammah with pip, or run scripts/setup"
            )
        environment = {name: environ[name] for name in _PLACES if environ.get(name)}
        if environ.get("SHAMMAH_HOME"):
            environment["SHAMMAH_HOME"] = str(paths.data_dir)
        for value in (str(program), str(paths.data_dir), *environment.values()):
            if not value.isprintable():
                raise UsageError(f"the path {value!r} cannot be in a service file")
        return cls(program, environment, paths.data_dir, paths.logs / "shammahd.err")
