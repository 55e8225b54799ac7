"""What can be served: a file with the pointer's value and the template that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shammah.bases.template import ChatTemplate
from shammah.errors import DamagedFile, NotFound
from shammah.paths import Paths
from shammah.records import Active, Base, Version


@dataclass(frozen=True)
class Servable:
    """One GGUF that may answer."""

    active: Active
    gguf: Path
    template: ChatTemplate
    size_bytes: int
    sha256: str


def servable(paths: Paths, base: Base, version: Version | None) -> Servable:
    """The file of `version`, or of the base itself.

    Raises:
        NotFound: the version was pruned.
        DamagedFile: the file is gone.
    """
    if version and version.pruned_at:
        raise NotFound(
            f"version {version.number} was pruned on {version.pruned_at[:10]}: its files are gone",
            hint="'shammah versions list' shows those that are kept",
        )
    gguf = paths.version(version.number) / version.gguf if version else Path(base.gguf)
    if not gguf.is_file():
        raise DamagedFile(
            f"the model file {gguf} is gone",
            hint="put it back, or use another: 'shammah versions rollback', 'shammah model use'",
        )
    return Servable(
        active=Active(base.name, version.number if version else 0),
        gguf=gguf,
        template=ChatTemplate.of(base),
        size_bytes=gguf.stat().st_size,
        sha256=version.sha256 if version else base.sha256,
    )
