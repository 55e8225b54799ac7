"""The stage that makes a base teachable: weights, probe, teacher and whitening, each made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shammah import stage
from shammah.errors import BaseModelError
from shammah.records import Base
from shammah.training import probe, teacher, weights, whitening
from shammah.training.model import Hardware, load


def prepare_base(base_dir: Path, stop: stage.Stop) -> dict[str, Any]:
    """Make `train/`, `probe.json` and, where `replay.tokens.json` is, teacher and whitening.

    Returns:
        Which of the four were made now, and on which device.

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
    teacher_file = base_dir / teacher.FILE
    whitening_file = base_dir / whitening.FILE
    files = (teacher_file, whitening_file)
    if replay_file.is_file() and not all(teacher.is_current(f, replay_file) for f in files):
        model = load(train_dir, hardware)
        observer = whitening.Observer(model)

        def progress(share: float) -> None:
            _leave_if(stop)
            _report(0.7 + 0.3 * share, "teacher")

        with observer.watching():
            teacher.write(teacher_file, replay_file, model, hardware, progress)
        whitening.write(whitening_file, observer.whitenings(), teacher.identity(replay_file))
        made += ["teacher", "whitening"]
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
