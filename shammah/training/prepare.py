"""The stage that makes a base teachable: training weights, probe and teacher, each made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shammah import stage
from shammah.errors import BaseModelError
from shammah.records import Base
from shammah.training import probe, teacher, weights
from shammah.training.model import Hardware, load


def prepare_base(base_dir: Path, stop: stage.Stop) -> dict[str, Any]:
    """Make `train/`, `probe.json` and, where `replay.tokens.json` is, `teacher.safetensors`.

    Returns:
        Which of the three were made now, and on which device.

    Raises:
        BaseModelError: the base cannot be read, or transformers does not know it.
    """
    hardware = Hardware.detect()
    hardware.prepare_torch()
    base = _read_base(base_dir / "base.json")
    train_dir = base_dir / "train"
    made = []

    _report(0.0, "weights")
    if weights.prepare(base, train_dir):
        made.append("train")
    _leave_if(stop)

    _report(0.5, "probe")
    probe_file = base_dir / "probe.json"
    if not probe.is_current(probe_file, weights.identity(base)):
        probe.write(probe_file, train_dir, weights.identity(base))
        made.append("probe")
    _leave_if(stop)

    replay_file = base_dir / "replay.tokens.json"
    teacher_file = base_dir / "teacher.safetensors"
    if replay_file.is_file() and not teacher.is_current(teacher_file, replay_file):
        model = load(train_dir, hardware)

        def progress(share: float) -> None:
            _leave_if(stop)
            _report(0.7 + 0.3 * share, "teacher")

        teacher.write(teacher_file, replay_file, model, hardware, progress)
        made.append("teacher")
    return {"made": made, "device": hardware.device.type}


def _read_base(path: Path) -> Base:
    try:
        return Base(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise BaseModelError(
            f"cannot read {path}: {error}", hint="add the base again with 'shammah model add'"
        ) from error


def _report(fraction: float, detail: str) -> None:
    stage.report(stage="preparing", fraction=fraction, detail=detail)


def _leave_if(stop: stage.Stop) -> None:
    if stop.is_set():
        raise stage.Stopped
