"""Puts a proven candidate's files where versions live, with its manifest. Moves no pointer."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from shammah import __version__
from shammah.files import building, write_atomically
from shammah.gate.judge import Report
from shammah.paths import Paths
from shammah.publish import ADAPTER_CONFIG, ADAPTER_FILE, ADAPTER_FOLDER
from shammah.records import Base, Version
from shammah.training.spec import JobSpec
from shammah_daemon import artefacts

#: Libraries whose release decides what a job makes.
LIBRARIES = ("torch", "transformers", "peft", "llama-cpp-python")


def build_version(
    paths: Paths,
    number: int,
    base: Base,
    spec: JobSpec,
    report: Report,
    gguf: Path,
    training: dict[str, Any],
) -> Version:
    """`versions/<number>/` with the model, both forms of the adapter, manifest and report.

    Files are hard links into the job's folder, so that a job that is interrupted here still has
    them. Done again, it gives the same.
    """
    job = paths.job(spec.job_id)
    created_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    with building(paths.version(number)) as folder:
        (folder / ADAPTER_FOLDER).mkdir(parents=True)
        _link(gguf, folder / gguf.name)
        attachable = gguf.parent / ADAPTER_FILE
        if attachable.exists():  # not of DoRA
            _link(attachable, folder / attachable.name)
        for source in (job / ADAPTER_FOLDER).iterdir():
            _link(source, folder / ADAPTER_FOLDER / source.name)
        if report.scale != 1:
            _scale_alpha(folder / ADAPTER_FOLDER / ADAPTER_CONFIG, report.scale)
        hashes = {
            str(path.relative_to(folder)): artefacts.digest(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "version": number,
            "created_at": created_at,
            "shammah": __version__,
            "libraries": {name: installed(name) for name in LIBRARIES},
            "base": {"name": base.name, "sha256": base.sha256, "gguf": base.gguf},
            "job": asdict(spec),
            "training": training,
            "quantization": report.quantization,
            "scale": report.scale,
            "files": hashes,
        }
        _write(folder / "manifest.json", manifest)
        _write(folder / "report.json", report.as_dict())
    return Version(
        number=number,
        base=base.name,
        job_id=spec.job_id,
        quantization=report.quantization,
        gguf=gguf.name,
        sha256=hashes[gguf.name],
        size_bytes=gguf.stat().st_size,
        created_at=created_at,
        manifest=manifest,
        report=report.as_dict(),
    )


def _scale_alpha(config: Path, scale: float) -> None:
    """Let PEFT load the adapter at the effect with which it was merged (LoRA's alpha / r)."""
    settings = json.loads(config.read_bytes())
    settings["lora_alpha"] *= scale
    write_atomically(config, json.dumps(settings, indent=2).encode())


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2), encoding="utf-8")
