"""What is recorded of an imported adapter: `adapters/<name>/manifest.json`. Reads no tensor."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from shammah.errors import DamagedFile, UsageError
from shammah.files import PARTIAL, write_atomically

MANIFEST = "manifest.json"

#: What a version's own adapter is called; no imported one is.
VERSION_PREFIX = "version-"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Manifest:
    """An adapter that was imported."""

    name: str
    base: str  # as the base was called then
    base_sha256: str  # of the GGUF that it was checked against
    rank: int
    alpha: float
    scaling: float  # of what is added: alpha / rank, or alpha / sqrt(rank)
    modules: list[str]  # which layers it changes
    origin: str  # the folder that it came from
    remark: str  # what the user should know of it; may be empty
    created_at: str
    files: dict[str, str]  # sha256 by path inside the folder

    def save(self, folder: Path) -> None:
        data = json.dumps(asdict(self), indent=2).encode()
        write_atomically(folder / MANIFEST, data)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Raises DamagedFile."""
        path = folder / MANIFEST
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise DamagedFile(
                f"cannot read {path}: {error}",
                hint=f"remove the folder {folder}, and import the adapter again",
            ) from error


def name_for(path: Path, wanted: str | None) -> str:
    """The name of a new adapter: as wanted, or after its folder.

    Raises:
        UsageError: the name cannot name a folder everywhere, or is one that versions have.
    """
    name = wanted or re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).strip("-.")
    reserved = name.startswith(VERSION_PREFIX) or name.endswith(PARTIAL)
    if reserved or not _NAME.fullmatch(name):
        raise UsageError(
            f"an adapter cannot be called {name!r}",
            hint="use lower-case letters, digits, '.', '_' and '-' with --name, and not "
            f"'{VERSION_PREFIX}': so the adapters of versions are called",
        )
    return name
