"""Checkpoints of a training job: written whole or not at all, the newest and the best kept.

A checkpoint holds the adapter's masters, the optimizer's state and the number of steps done.
Learning rate, rows and dropout of a step are functions of its number, so this is all that the next
step needs. Knows no loop.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from shammah.files import PARTIAL, building, remove, sha256_of
from shammah.training.validation import VALIDATE_STEPS, best

_STATE = "state.safetensors"
_PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """What a job has done so far, besides its tensors."""

    step: int
    fingerprint: str  # of everything that decides what the job makes
    seconds: float
    tokens: int
    loss: float | None = None  # of the newest step
    held_out_nll: Sequence[float] = field(default_factory=list)  # see `validation`
    held_out_accuracy: Sequence[float] = field(default_factory=list)  # measured with it
    ended_early: bool = False
    recent_losses: Sequence[float] = field(default_factory=list)  # of the newest steps; see `loop`
    skipped_steps: int = 0  # whose loss jumped

    @property
    def best_step(self) -> int:
        """After which the held-out phrasings were likeliest; 0: they were not measured."""
        index = best(self.held_out_nll)
        return 0 if index is None else min((index + 1) * VALIDATE_STEPS, self.step)


def save(folder: Path, progress: Progress, tensors: dict[str, torch.Tensor], keep: int) -> None:
    """Write `folder/<step>/` and remove all but the newest `keep` checkpoints and the best."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with building(folder / str(progress.step)) as partial:
        partial.mkdir()
        save_file(tensors, partial / _STATE)
        written = {"progress": asdict(progress), "sha256": _digest(progress, partial / _STATE)}
        (partial / _PROGRESS).write_text(json.dumps(written))
    for old in _newest_first(folder)[keep:]:
        if old.name != str(progress.best_step):
            remove(old)


def newest(folder: Path, fingerprint: str) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """The newest checkpoint that is whole and was made by the same job, if any."""
    for candidate in _newest_first(folder):
        found = read(candidate)
        if found and found[0].fingerprint == fingerprint:
            return found
    return None


def read(folder: Path) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """The checkpoint in `folder`, if it is there and every bit of it is as it was written."""
    try:
        written = json.loads((folder / _PROGRESS).read_bytes())
        progress = Progress(**written["progress"])
        if written["sha256"] != _digest(progress, folder / _STATE):
            return None
        return progress, load_file(folder / _STATE)
    except (OSError, ValueError, TypeError, KeyError, SafetensorError):
        return None


def _digest(progress: Progress, state: Path) -> str:
    """Of both files together."""
    said = json.dumps(asdict(progress), sort_keys=True)
    return hashlib.sha256((said + sha256_of(state)).encode()).hexdigest()


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix != PARTIAL and path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name), reverse=True)
