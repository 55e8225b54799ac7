"""The adapters that there are: those of the versions, and imported ones. Changes nothing.

An imported adapter is what lies in its folder, `adapters/<name>/`; a version's lies with the
version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog

from shammah.bases.registry import Registry
from shammah.errors import DamagedFile, NotFound
from shammah.files import PARTIAL
from shammah.paths import Paths
from shammah.publish import ADAPTER_CONFIG, ADAPTER_FILE, ADAPTER_FOLDER, TENSORS_FILE
from shammah.publish.manifest import MANIFEST, VERSION_PREFIX, Manifest
from shammah.records import Active, Version
from shammah.store.database import Store
from shammah_daemon.attachments import Attachment
from shammah_daemon.database import Database

log = structlog.get_logger()


@dataclass(frozen=True)
class Known:
    """An adapter that is there."""

    name: str
    source: Literal["version", "imported"]
    version: int | None
    base: str
    base_sha256: str
    rank: int
    alpha: float
    scaling: float
    modules: list[str]
    size_bytes: int
    origin: str
    remark: str
    created_at: str
    files: dict[str, str]  # sha256 by path in `folder`
    folder: Path

    @property
    def is_attachable(self) -> bool:
        """There is a GGUF file of it: not of DoRA."""
        return ADAPTER_FILE in self.files

    @property
    def gguf(self) -> Path:
        return self.folder / ADAPTER_FILE

    @property
    def peft(self) -> Path:
        return self.folder / ADAPTER_FOLDER

    @property
    def sha256(self) -> str:
        """Of the GGUF file."""
        return self.files[ADAPTER_FILE]


class Library:
    """Lists adapters, and tells which belong to what serves."""

    def __init__(self, paths: Paths, registry: Registry, database: Database) -> None:
        self._paths = paths
        self._registry = registry
        self._database = database

    async def all(self) -> list[Known]:
        """Those of the versions, newest first, then the imported ones by name."""
        versions = await self._database.run(lambda store: store.versions.list())
        return [*of_versions(self._paths, versions), *imported(self._paths)]

    async def get(self, name: str) -> Known:
        """Raises NotFound."""
        found = next((one for one in await self.all() if one.name == name), None)
        if found is None:
            raise NotFound(
                f"no adapter is called {name!r}", hint="'shammah adapters list' shows them"
            )
        return found

    async def attachments(self, active: Active) -> Sequence[Attachment]:
        """The adapters that were loaded on the base, as far as they belong to this version."""
        applied = await self._database.run(lambda store: store.loaded.on(active.base))
        if not applied:
            return ()
        sha256 = self._registry.get(active.base).sha256
        there = {one.name: one for one in await self.all()}
        found = [(one, there.get(one.name)) for one in applied]
        return [
            Attachment(one, known.gguf, known.sha256)
            for one, known in found
            if known is not None and objection(known, active, sha256) is None
        ]


def objection(known: Known, active: Active, base_sha256: str) -> str | None:
    """Why the adapter cannot be added to what serves, if it cannot. Pure.

    A version's file is the base with its lessons merged in: any version's adapter, which holds its
    lessons from the pristine base on, would add to them once more.
    """
    if not known.is_attachable:
        return "it is of DoRA, which can be merged and not attached"
    if known.base_sha256 != base_sha256:
        return f"it is for the base {known.base}, and {active.base} serves"
    if known.version is not None and active.version:
        return (
            f"version {active.version} serves, in which lessons are merged already: those of "
            f"version {known.version} would count twice"
        )
    return None


def of_versions(paths: Paths, versions: Iterable[Version]) -> list[Known]:
    """The adapters of the versions that have theirs."""
    return [
        found
        for version in versions
        if version.number and (found := _of_version(paths.version(version.number), version))
    ]


def imported(paths: Paths) -> list[Known]:
    """Those in the home's folder; one whose manifest is damaged is logged and left out."""
    found = []
    for name in names(paths):
        try:
            found.append(_imported(paths.adapter(name)))
        except (DamagedFile, OSError) as error:
            log.error("an adapter cannot be used", adapter=name, problem=str(error))
    return found


def names(paths: Paths) -> list[str]:
    """Of the imported ones, in order; not of one that is being imported."""
    folders = (path.parent for path in paths.adapters.glob(f"*/{MANIFEST}"))
    return sorted(folder.name for folder in folders if folder.suffix != PARTIAL)


def loaded_versions(store: Store) -> set[int]:
    """The numbers of the versions whose adapters are loaded."""
    return {
        int(name.removeprefix(VERSION_PREFIX))
        for name in store.loaded.all()
        if name.startswith(VERSION_PREFIX)
    }


def _of_version(folder: Path, version: Version) -> Known | None:
    """None where the version was pruned, or made without an adapter."""
    config = folder / ADAPTER_FOLDER / ADAPTER_CONFIG
    hashes = version.manifest.get("files", {})
    weights = ADAPTER_FILE if ADAPTER_FILE in hashes else f"{ADAPTER_FOLDER}/{TENSORS_FILE}"
    if weights not in hashes or not (folder / weights).is_file() or not config.is_file():
        return None
    settings = json.loads(config.read_bytes())
    rank, alpha = settings["r"], settings["lora_alpha"]
    kept = (ADAPTER_FILE, f"{ADAPTER_FOLDER}/")
    return Known(
        name=f"{VERSION_PREFIX}{version.number}",
        source="version",
        version=version.number,
        base=version.base,
        base_sha256=version.manifest["base"]["sha256"],
        rank=rank,
        alpha=alpha,
        scaling=alpha / (rank**0.5 if settings.get("use_rslora") else rank),
        modules=_modules(settings.get("target_modules")),
        size_bytes=(folder / weights).stat().st_size,
        origin=f"version {version.number}",
        remark="",
        created_at=version.created_at,
        files={path: sha256 for path, sha256 in hashes.items() if path.startswith(kept)},
        folder=folder,
    )


def _modules(targets: Any) -> list[str]:
    """PEFT's `target_modules`: names, or one expression."""
    return [targets] if isinstance(targets, str) else sorted(targets or ())


def _imported(folder: Path) -> Known:
    manifest = Manifest.load(folder)
    return Known(
        name=folder.name,
        source="imported",
        version=None,
        base=manifest.base,
        base_sha256=manifest.base_sha256,
        rank=manifest.rank,
        alpha=manifest.alpha,
        scaling=manifest.scaling,
        modules=manifest.modules,
        size_bytes=(folder / ADAPTER_FILE).stat().st_size,
        origin=manifest.origin,
        remark=manifest.remark,
        created_at=manifest.created_at,
        files=manifest.files,
        folder=folder,
    )
