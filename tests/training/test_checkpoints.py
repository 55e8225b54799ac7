"""Checkpoints: whole or passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from shammah.training import checkpoints
from shammah.training.checkpoints import Progress

TENSORS = {"masters": torch.arange(1000.0)}


def truncated(content: bytearray) -> bytearray:
    return content[:-1]


def flipped(content: bytearray) -> bytearray:
    """One bit of the last byte that is a figure, or any byte."""
    at = next((i for i in reversed(range(len(content))) if 48 <= content[i] <= 57), -1)
    content[at] ^= 1
    return content


def saved(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoints.save(folder, Progress(step, "job", 1.0, 100, 0.5, [3.0, 1.0, 2.0]), TENSORS, 3)


@pytest.mark.parametrize("name", ["state.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", [truncated, flipped])
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, name: str, damage: Callable[[bytearray], bytearray]
) -> None:
    saved(tmp_path, 20, 40)
    file = tmp_path / "40" / name
    file.write_bytes(damage(bytearray(file.read_bytes())))
    found = checkpoints.newest(tmp_path, "job")
    assert found is not None
    assert found[0].step == 20
    assert torch.equal(found[1]["masters"], TENSORS["masters"])


def test_a_checkpoint_that_lost_a_file_is_passed_over(tmp_path: Path) -> None:
    saved(tmp_path, 20, 40)
    (tmp_path / "40" / "state.safetensors").unlink()
    assert checkpoints.read(tmp_path / "40") is None


def test_the_newest_three_and_the_best_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 20, 40, 60, 80, 100, 120)
    assert {path.name for path in tmp_path.iterdir()} == {"40", "80", "100", "120"}


def test_nothing_is_left_of_one_that_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 20)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(Exception, match="disk is full"):
        saved(tmp_path, 40)
    assert [path.name for path in tmp_path.iterdir()] == ["20"]
