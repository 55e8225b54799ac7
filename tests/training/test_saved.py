"""What checkpoints say of themselves, read back without torch from those that training writes."""

from __future__ import annotations

from pathlib import Path

import torch

from shammah.training import checkpoints
from shammah.training.checkpoints import Progress
from shammah.training.saved import saved


def test_what_training_saved_is_read_newest_first_and_half_written_ones_are_left_out(
    tmp_path: Path,
) -> None:
    assert saved(tmp_path) == []
    folder = tmp_path / "checkpoints"
    for step, measured in ((9, []), (20, [1.5, 1.25])):
        progress = Progress(step, "same", 1.0, 100, loss=0.5, held_out_nll=measured)
        checkpoints.save(folder, progress, {"a": torch.zeros(1)}, keep=3)
    (folder / "30").mkdir()
    (folder / "30" / "progress.json").write_text("{")
    (folder / "40.partial").mkdir()
    found = saved(tmp_path)
    assert [(one.step, one.loss, one.held_out_nll) for one in found] == [
        (20, 0.5, 1.25),
        (9, 0.5, None),
    ]
    assert all(one.saved_at > 0 for one in found)
