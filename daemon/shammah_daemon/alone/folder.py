"""OUT: what a training has begun there, what it leaves, and how it is gone on with.

While it is under way the folder is also the job's folder of the training stage. Knows no model.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from shammah.bases import SKETCH_FILE
from shammah.errors import Conflict, UsageError
from shammah.files import PARTIAL, remove, remove_partials, sha256_of, write_atomically
from shammah.publish import ADAPTER_FILE, ADAPTER_FOLDER
from shammah_daemon.alone.options import Choices

RESULT = "training.json"
QUEUE = "queue.jsonl"

#: What only a training that is not finished has there; rows and cases are words.
_WORK = (
    "rows.json", "cases.json", "train.json", "tried.json", "merge.json", "quantize.json",
    "checkpoints", SKETCH_FILE,
    "merged-F16.gguf", "stages.err", "job.json", "begun.json",
)  # fmt: skip


class Begun(BaseModel):
    """`begun.json`: all that is needed to go on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: str
    queue_bytes: int
    queue_sha256: str
    home: str | None  # as it was given; without, that of the environment
    base: str
    base_sha256: str
    choices: Choices
    data: dict[str, Any]  # the report


@dataclass(frozen=True)
class Folder:
    """OUT."""

    path: Path

    def require_free(self) -> None:
        """Raises UsageError where it is a file, or holds something."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file", hint="name a folder that is new or empty")
        if self.begun_file.exists():
            raise UsageError(
                f"{self.path} holds a training that was interrupted",
                hint="go on with --resume, remove the folder, or name another",
            )
        if self.path.is_dir() and any(self.path.iterdir()):
            raise UsageError(f"{self.path} is not empty", hint="name a folder that is new or empty")

    def begun(self) -> Begun:
        """Raises UsageError where there is nothing to go on with."""
        if not self.begun_file.exists():
            done = "its training is finished" if (self.path / RESULT).exists() else "there is none"
            raise UsageError(
                f"no training was interrupted in {self.path}: {done}", hint="leave --resume out"
            )
        try:
            return Begun.model_validate_json(self.begun_file.read_bytes())
        except ValueError as error:
            raise UsageError(
                f"{self.begun_file} is damaged, or of another version", hint="begin anew"
            ) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make it, private, and be the only one that works in it.

        Raises:
            Conflict: another training does.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(folder)
            yield
        finally:
            os.close(folder)

    def _lock(self, folder: int) -> None:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another training is at work in {self.path}") from None

    def begin(self, begun: Begun) -> None:
        self.path.chmod(0o700)
        write_atomically(self.begun_file, begun.model_dump_json(indent=2).encode())

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write, and return, what was made and how; `clear_work` is what is left to do."""
        files = [self.path / ADAPTER_FILE, *(self.path / ADAPTER_FOLDER).iterdir()]
        files += self.path.glob("model-*.gguf")
        hashes = {
            str(file.relative_to(self.path)): sha256_of(file) for file in files if file.is_file()
        }
        content = result | {"files": dict(sorted(hashes.items()))}
        write_atomically(self.path / RESULT, json.dumps(content, indent=2).encode())
        return content

    def clear_work(self) -> None:
        """Remove what only an unfinished training has, begun.json last."""
        remove_partials(self.path)
        for name in _WORK:
            remove(self.path / name)

    def give_up(self) -> None:
        """Leave nothing of a training that came to no checkpoint."""
        self.clear_work()
        for name in ("log.jsonl", "tensorboard", ADAPTER_FOLDER):
            remove(self.path / name)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    @property
    def has_checkpoint(self) -> bool:
        folder = self.path / "checkpoints"
        return folder.is_dir() and any(one.suffix != PARTIAL for one in folder.iterdir())

    @property
    def begun_file(self) -> Path:
        return self.path / "begun.json"
