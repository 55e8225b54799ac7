"""The base's own distribution on the replay rows, computed once per base; knows no adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from shammah.files import building, sha256_of
from shammah.training.model import Hardware, target_logits
from shammah.training.objective import Teacher
from shammah.training.packing import pack, split
from shammah.training.spec import Row, load_replay

FILE = "teacher.safetensors"
#: Tokens kept per position; see docs/benchmarks.md for the share of probability they cover.
TOP_K = 64
#: Replay answers are cut here: the KL of a longer answer costs more time than it protects.
MAX_TARGET_TOKENS = 24


@dataclass(frozen=True)
class Replay:
    """Replay rows and what the base would say at each of their targets."""

    rows: list[Row]
    teachers: list[Teacher]  # one a row, on the CPU


def trained_rows(path: Path) -> list[Row]:
    """The replay rows of `path` that training uses: not held out, with cut targets."""
    return [_cut(row) for row in load_replay(path) if not row.held_out]


def _cut(row: Row) -> Row:
    """With a shorter target; what ends the model's turn is kept, for a row that follows."""
    if len(row.target) <= MAX_TARGET_TOKENS:
        return row
    return replace(row, target=row.target[:MAX_TARGET_TOKENS], close=row.target[-1:])


def write(
    path: Path,
    replay_file: Path,
    model: PreTrainedModel,
    hardware: Hardware,
    progress: Callable[[float], None],
) -> None:
    """Compute and write the teacher of `replay_file` at `path`, atomically."""
    rows = trained_rows(replay_file)
    teachers = _compute(rows, model, hardware, progress)
    with building(path) as partial:
        save_file(
            {
                "ids": torch.cat([teacher.ids for teacher in teachers]),
                "log_probs": torch.cat([teacher.log_probs for teacher in teachers]),
            },
            partial,
            metadata=identity(replay_file),
        )


def is_current(path: Path, replay_file: Path) -> bool:
    """Whether `path` was computed from `replay_file` as it is now."""
    try:
        with safe_open(path, framework="pt") as file:
            return bool(file.metadata() == identity(replay_file))
    except (OSError, SafetensorError):
        return False


def load(path: Path, replay_file: Path) -> Replay:
    """The replay rows with their teachers."""
    rows = trained_rows(replay_file)
    with safe_open(path, framework="pt") as file:
        ids, log_probs = file.get_tensor("ids").long(), file.get_tensor("log_probs")
    sizes = [len(row.target) for row in rows]
    pairs = zip(ids.split(sizes), log_probs.split(sizes), strict=True)
    return Replay(rows, [Teacher(ids=i, log_probs=p) for i, p in pairs])


@torch.no_grad()
def _compute(
    rows: Sequence[Row],
    model: PreTrainedModel,
    hardware: Hardware,
    progress: Callable[[float], None],
) -> list[Teacher]:
    found: dict[int, Teacher] = {}
    alone = [[row] for row in rows]
    for batch in split(alone, hardware.max_tokens):
        chosen = [alone[index] for index in batch]
        logits = target_logits(model, pack(chosen, hardware.dtype, hardware.device))
        parts = torch.split(logits, [len(row.target) for [row] in chosen])
        for index, part in zip(batch, parts, strict=True):
            top = Teacher.of(part, TOP_K)
            found[index] = Teacher(ids=top.ids.int().cpu(), log_probs=top.log_probs.cpu())
        progress(len(found) / len(rows))
    return [found[index] for index in range(len(rows))]


def identity(replay_file: Path) -> dict[str, str]:
    """What everything that is computed from `replay_file` carries in its metadata."""
    return {
        "replay_sha256": sha256_of(replay_file),
        "top_k": str(TOP_K),
        "max_target_tokens": str(MAX_TARGET_TOKENS),
    }
