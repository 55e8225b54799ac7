"""What the checkpoints of a job say of themselves, without their tensors. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Saved:
    """One checkpoint that is on disk."""

    step: int
    saved_at: float  # seconds since the epoch
    loss: float | None  # of its step
    held_out_nll: float | None  # the newest measurement, nats a token


def saved(job_dir: Path) -> list[Saved]:
    """The checkpoints in a job's folder, newest first; what cannot be read is left out."""
    found = []
    for file in (job_dir / "checkpoints").glob("*/progress.json"):
        if not file.parent.name.isdecimal():
            continue
        try:
            progress = json.loads(file.read_bytes())["progress"]
            measured = progress["held_out_nll"]
            found.append(
                Saved(
                    step=progress["step"],
                    saved_at=file.stat().st_mtime,
                    loss=progress["loss"],
                    held_out_nll=measured[-1] if measured else None,
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged, or removed by training meanwhile
    return sorted(found, key=lambda one: one.step, reverse=True)
