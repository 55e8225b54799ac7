"""Adapters, and models with them merged in, as files for other programs.

Knows no store and no torch. Nothing that is there is overwritten.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shammah.bases.gguf_header import Header, read_header
from shammah.errors import UsageError
from shammah.files import creating, require_space, write_atomically
from shammah.publish import ADAPTER_CONFIG, MODEL_FILE, TENSORS_FILE
from shammah.publish.adapter import (
    Adapter,
    combined,
    read_adapter,
    read_config,
    write_adapter,
)
from shammah.publish.importing import PROVENANCE
from shammah.publish.merge import merge
from shammah.publish.quantizations import ladder
from shammah.publish.quantize import quantize
from shammah.stage import Stop

MODELFILE = "Modelfile"

#: Of a whole export, what merging takes; the rest is quantizing.
MERGE_SHARE = 0.5

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Part:
    """An adapter and how much of it."""

    folder: str  # a PEFT folder
    scale: float


@dataclass(frozen=True)
class Export:
    """What is written, and where."""

    kind: str  # peft, gguf, merged-gguf or ollama
    base: str  # its name, and below its file
    base_gguf: str
    base_sha256: str
    parts: list[Part]
    destination: str  # is made
    quantization: str | None = None  # of a merged model
    modelfile: str | None = None  # of an Ollama folder

    @classmethod
    def of(cls, request: dict[str, Any]) -> Export:
        parts = [Part(**part) for part in request["parts"]]
        return cls(**{**request, "parts": parts})


def export(wanted: Export, *, threads: int, stop: Stop, report: Report) -> dict[str, Any]:
    """Write it; the destination is there as a whole or not at all.

    Returns:
        `path`, `size_bytes`, and the `quantization` of a merged model.

    Raises:
        Conflict: something is there already.
        UsageError: the kind takes one adapter only.
        JobError, BaseModelError: an adapter or the base cannot be read.
        StorageError: the disk is full or the place is not writable.
        Stopped: `stop` was set.
    """
    base = read_header(Path(wanted.base_gguf))
    destination = Path(wanted.destination)
    with creating(destination) as path:
        written = None
        match wanted.kind:
            case "peft":
                _write_peft(wanted, path)
            case "gguf":
                write_adapter(_sum(wanted.parts, base), base, path)
            case "merged-gguf":
                written = _write_merged(wanted, base, path, threads, stop, report)
            case _:
                path.mkdir()
                model = path / MODEL_FILE
                written = _write_merged(wanted, base, model, threads, stop, report)
                (path / MODELFILE).write_text(wanted.modelfile or "", encoding="utf-8")
    return {
        "path": str(destination),
        "size_bytes": _size(destination),
        "quantization": written,
    }


def _sum(parts: Sequence[Part], base: Header) -> Adapter:
    return combined([read_adapter(Path(one.folder), base).scaled(one.scale) for one in parts])


def _write_peft(wanted: Export, folder: Path) -> None:
    """One adapter as PEFT loads it, with what it was made for."""
    if len(wanted.parts) != 1:
        raise UsageError("a PEFT folder holds one adapter", hint="export them one by one")
    [part] = wanted.parts
    source = Path(part.folder)
    folder.mkdir()
    tensors = source / TENSORS_FILE
    require_space(folder.parent, tensors.stat().st_size)
    shutil.copyfile(tensors, folder / TENSORS_FILE)
    config = read_config(source / ADAPTER_CONFIG)
    config["lora_alpha"] *= part.scale
    if config.get("alpha_pattern"):
        config["alpha_pattern"] = {
            module: alpha * part.scale for module, alpha in config["alpha_pattern"].items()
        }
    _write_json(folder / ADAPTER_CONFIG, config)
    made_for = {"base": wanted.base, "base_sha256": wanted.base_sha256}
    _write_json(folder / PROVENANCE, made_for)


def _write_merged(
    wanted: Export, base: Header, path: Path, threads: int, stop: Stop, report: Report
) -> str:
    """The base with all parts added, in one file; its quantization."""
    [quantization] = ladder([wanted.quantization or ""], base.row_sizes())
    whole = path.with_name("merged.gguf")
    total = _sum(wanted.parts, base)
    merge(
        base, total, whole, threads=threads, stop=stop,
        on_progress=lambda done: report("merging", MERGE_SHARE * done),
    )  # fmt: skip
    quantize(
        whole, path, quantization, threads=threads, stop=stop,
        on_progress=lambda done: report("quantizing", MERGE_SHARE + (1 - MERGE_SHARE) * done),
    )  # fmt: skip
    whole.unlink()
    return quantization


def _write_json(path: Path, data: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(data, indent=2).encode())


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
