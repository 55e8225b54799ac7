"""The folders under `bases/`: which bases there are and what each has ready. Runs no model."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from shammah.errors import BaseModelError, NotFound, UsageError
from shammah.files import remove, write_atomically
from shammah.paths import Paths
from shammah.records import Base

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class Registry:
    """Reads and writes `bases/<name>/base.json`."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def names(self) -> list[str]:
        return sorted(path.parent.name for path in self._paths.bases.glob("*/base.json"))

    def get(self, name: str) -> Base:
        """The base called `name`.

        Raises:
            NotFound: there is none.
            BaseModelError: what is written of it is damaged.
        """
        if name not in self.names():
            raise NotFound(
                f"no base model is called {name!r}", hint="'shammah model list' shows them"
            )
        file = self._paths.base(name) / "base.json"
        try:
            return Base(**json.loads(file.read_bytes()))
        except (ValueError, TypeError) as error:
            raise BaseModelError(
                f"{file} is damaged: {error}",
                hint="remove its folder, and add the model again with 'shammah model add'",
            ) from error

    def save(self, base: Base) -> None:
        folder = self._paths.base(base.name)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(folder / "base.json", json.dumps(asdict(base), indent=2).encode())

    def remove(self, name: str) -> None:
        """Remove the folder; the GGUF itself stays where it is."""
        self.get(name)
        remove(self._paths.base(name))


class Ground:
    """What a base needs before it can be taught: the files of `bases/<name>/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.train = folder / "train"  # bf16 safetensors, written by the prepare stage
        self.probe = folder / "probe.json"  # Hugging Face's tokens and logits, for the parity check
        self.replay = folder / "replay.jsonl"  # the base's own answers to general prompts
        self.replay_tokens = folder / "replay.tokens.json"
        self.teacher = folder / "teacher.safetensors"  # the base's distributions over its answers
        self.whitening = folder / "whitening.safetensors"  # how general text fills its layers
        self.reference = folder / "reference.json"  # the same of the served file, for the judge

    @property
    def is_ready(self) -> bool:
        needed = (
            self.train, self.replay_tokens, self.teacher, self.whitening, self.reference,
        )  # fmt: skip
        return all(path.exists() for path in needed)


def name_for(path: Path, wanted: str | None) -> str:
    """The name of a new base: as wanted, or after its file.

    Raises:
        UsageError: the wanted name is not one that can name a folder everywhere.
    """
    name = wanted or re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-.")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a base cannot be called {name!r}",
            hint="use lower-case letters, digits, '.', '_' and '-', with --name",
        )
    return name
