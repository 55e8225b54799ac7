"""Where every file lives; computes paths and, when asked, makes the home. Opens no file."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from platformdirs import PlatformDirs

from shammah.errors import StorageError

#: sockaddr_un.sun_path, less the closing NUL (unix(7); 104 on the BSDs and macOS).
SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103


@dataclass(frozen=True)
class Paths:
    """The folders and files of one installation (DESIGN §3)."""

    config_dir: Path
    data_dir: Path
    state_dir: Path
    runtime_dir: Path

    @classmethod
    def from_environment(cls, environ: dict[str, str] | None = None) -> Paths:
        """`$SHAMMAH_HOME` for everything, else the platform's own folders."""
        environ = dict(os.environ) if environ is None else environ
        home = environ.get("SHAMMAH_HOME")
        if home:
            root = Path(home).expanduser().absolute()
            return cls(config_dir=root, data_dir=root, state_dir=root, runtime_dir=root / "run")
        dirs = PlatformDirs("shammah", appauthor=False)
        return cls(
            config_dir=dirs.user_config_path,
            data_dir=dirs.user_data_path,
            state_dir=dirs.user_state_path,
            # Without a session there is no runtime folder; platformdirs would warn and take /tmp.
            runtime_dir=dirs.user_runtime_path
            if sys.platform != "linux" or "XDG_RUNTIME_DIR" in environ
            else dirs.user_state_path / "run",
        )

    @property
    def config_file(self) -> Path:
        return self.config_dir / "config.toml"

    @property
    def database(self) -> Path:
        return self.data_dir / "shammah.db"

    @property
    def token(self) -> Path:
        """What a program must know to talk to the daemon over TCP."""
        return self.data_dir / "token"

    @property
    def bases(self) -> Path:
        return self.data_dir / "bases"

    @property
    def jobs(self) -> Path:
        return self.data_dir / "jobs"

    @property
    def versions(self) -> Path:
        return self.data_dir / "versions"

    @property
    def adapters(self) -> Path:
        """Imported ones; a version has its own with it."""
        return self.data_dir / "adapters"

    @property
    def logs(self) -> Path:
        return self.state_dir / "logs"

    @property
    def log_file(self) -> Path:
        return self.logs / "shammahd.log"

    @property
    def history(self) -> Path:
        """The chat's input history."""
        return self.state_dir / "history"

    @property
    def pid_file(self) -> Path:
        return self.runtime_dir / "shammahd.pid"

    @property
    def lock(self) -> Path:
        return self.runtime_dir / "lock"

    @property
    def socket(self) -> Path:
        """The daemon's socket.

        A home so deep that the kernel would refuse the path gets a socket in a private folder of
        the temporary directory, named by the home's hash, so that daemon and clients agree.
        """
        inside = self.runtime_dir / "shammahd.sock"
        if len(os.fsencode(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        digest = sha256(os.fsencode(inside)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"shammah-{os.getuid()}-{digest}" / "shammahd.sock"

    def base(self, name: str) -> Path:
        return self.bases / name

    def job(self, job_id: int) -> Path:
        return self.jobs / str(job_id)

    def version(self, number: int) -> Path:
        return self.versions / str(number)

    def adapter(self, name: str) -> Path:
        return self.adapters / name

    def create(self) -> None:
        """Make every folder, private to the user.

        Raises:
            StorageError: a folder cannot be made, is not ours, or is not writable.
        """
        wanted = (
            self.config_dir, self.data_dir, self.state_dir, self.runtime_dir,
            self.bases, self.jobs, self.versions, self.adapters, self.logs, self.socket.parent,
        )  # fmt: skip
        for folder in wanted:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"cannot make the folder {folder}: {error.strerror}",
                    hint="set SHAMMAH_HOME to a folder that you may write to",
                ) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StorageError(
                    f"cannot write to the folder {folder}",
                    hint="make it writable, or set SHAMMAH_HOME to another folder",
                )
        if self.socket.parent.stat().st_uid != os.getuid():
            raise StorageError(f"the folder {self.socket.parent} belongs to somebody else")
