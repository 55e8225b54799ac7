"""Checkpoints of a training job: written whole or not at all, the last two kept; knows no loop."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from shammah.files import PARTIAL, building, remove

_KEPT = 2


@dataclass(frozen=True)
class Progress:
    """What a job has done so far, besides its tensors."""

    step: int
    fingerprint: str  # of everything that decides what the job makes
    seconds: float
    tokens: int
    heldout_nll_before: float | None
    loss: float | None = None  # of the newest step


def save(folder: Path, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
    """Write `folder/<step>/` and remove all but the newest checkpoints."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with building(folder / str(progress.step)) as partial:
        partial.mkdir()
        save_file(tensors, partial / "state.safetensors")
        (partial / "progress.json").write_text(json.dumps(asdict(progress)))
    for old in _newest_first(folder)[_KEPT:]:
        remove(old)


def newest(folder: Path, fingerprint: str) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """The newest checkpoint that is whole and was made by the same job, if any."""
    for candidate in _newest_first(folder):
        try:
            progress = Progress(**json.loads((candidate / "progress.json").read_bytes()))
            tensors = load_file(candidate / "state.safetensors")
        except (OSError, ValueError, TypeError, SafetensorError):
            continue
        if progress.fingerprint == fingerprint:
            return progress, tensors
    return None


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix != PARTIAL and path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name), reverse=True)
