"""What torch can train on here, and loading a base there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from shammah.errors import BaseModelError
from shammah.stage import Stop
from shammah.training import devices
from shammah.training.model import Hardware, load
from shammah.training.planning import MOST_TOKENS, Machine, plan
from shammah.training.sizing import Shape
from shammah.training.train import _EXPECTED, Ready, train_job

CPU = torch.device("cpu")


def test_the_processor_is_always_there_and_comes_last() -> None:
    found = devices.machines()[-1]
    assert found.device == "cpu"
    assert 0 < found.free_bytes <= found.memory_bytes == psutil.virtual_memory().total


def test_the_peak_of_a_process_is_no_less_than_it_holds_and_grows_with_it() -> None:
    before = devices.peak_bytes(CPU)
    assert before >= 0.9 * psutil.Process().memory_info().rss
    held = torch.ones(before, dtype=torch.uint8)
    assert devices.peak_bytes(CPU) >= held.numel()


def test_hardware_is_as_planned() -> None:
    machine = Machine("cpu", "", 10**11, 10**11, bf16=True)
    hardware = Hardware.of(plan(Shape.typical(10**8), [machine], _EXPECTED))
    assert hardware == Hardware(CPU, torch.bfloat16, MOST_TOKENS["cpu"])


def test_four_bits_without_bitsandbytes_is_an_error_that_says_what_to_install(
    base_dir: Path, hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_bitsandbytes", lambda: False)
    with pytest.raises(BaseModelError, match="bitsandbytes") as error:
        load(base_dir / "train", replace(hardware, four_bit=True))
    assert "shammah[cuda]" in error.value.hint


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("plenty", [True, False])
def test_a_job_sizes_its_passes_to_the_memory_that_is_free(
    base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch, plenty: bool
) -> None:
    ready = Ready.load(base_dir)
    monkeypatch.setattr(devices, "free_bytes", lambda _device: 10**11 if plenty else 10**6)
    result = train_job(job_dir, base_dir, None, Stop(), ready)
    assert result["max_tokens"] == (1024 if plenty else 256)
    assert result["recompute"] is not plenty
    assert result["peak_bytes"] > 0
