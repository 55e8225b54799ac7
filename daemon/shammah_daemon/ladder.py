"""Which candidates a job makes, one after the other, until one passes the gate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shammah.gate.judge import Report
from shammah.publish.quantizations import ladder


@dataclass(frozen=True)
class Rung:
    """One candidate: how its file is made from the job's adapter."""

    quantization: str
    scale: float  # of the adapter's effect


def folder_of(job: Path, scale: float) -> Path:
    """Where candidates of that scale are made: the job's own folder for the full effect."""
    return job if scale == 1 else job / f"scale-{scale:g}"


def rungs(
    quantizations: Sequence[str], scales: Sequence[float], row_sizes: Sequence[int]
) -> list[Rung]:
    """Every quantization at the adapter's full effect, then the last one at each weaker effect."""
    full = [Rung(quantization, 1.0) for quantization in ladder(quantizations, row_sizes)]
    return full + [Rung(full[-1].quantization, scale) for scale in sorted(scales, reverse=True)]


def next_rung(all_rungs: Sequence[Rung], failed: Sequence[Report]) -> Rung | None:
    """The rung after those that failed; None when the job is to be rejected.

    A weaker adapter can give back what a stronger one spoilt. It teaches nothing that the stronger
    one did not, so it is tried only where that had learned its lessons.
    """
    if len(failed) == len(all_rungs):
        return None
    following = all_rungs[len(failed)]
    taught = any("learned" not in report.failed for report in failed)
    return following if following.scale == 1 or taught else None
