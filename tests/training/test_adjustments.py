"""What is changed after a failure changes how is computed, not what."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shammah.errors import NotFinite, OutOfMemory
from shammah.stage import Stop
from shammah.training import schedule, teacher, whitening
from shammah.training.adapter import Adapter
from shammah.training.loop import Trainer
from shammah.training.model import Hardware, load, recompute_activations
from shammah.training.packing import split
from shammah.training.schedule import Step, Turn, left_out, shorten
from shammah.training.spec import Adjustments, Dataset, Row
from shammah.training.train import train_job
from tests.training.toys import RECIPE, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def gradient(base_dir: Path, hardware: Hardware, adjustments: Adjustments) -> torch.Tensor:
    """Of one step with replay and a conversation; B is not zero, so A has a gradient too."""
    model = load(base_dir / "train", hardware)
    adapter = Adapter(model, RECIPE, "tiny", whitening.load(base_dir / whitening.FILE))
    generator = torch.Generator().manual_seed(3)
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            tensor.data.normal_(std=0.1, generator=generator)
    replay = teacher.load(base_dir / teacher.FILE, base_dir / "replay.tokens.json")
    rows = [replace(row, follow=row.prompt[5:]) for row in make_rows(4, seed=6)]
    if adjustments.recompute:
        recompute_activations(model)
    trainer = Trainer(model, adapter, hardware, rows, replay, RECIPE, adjustments)
    asked = [[Turn(0, True), Turn(0, False)], [Turn(1, False)], [Turn(2, False)], [Turn(3, True)]]
    trainer.gradients(Step(asked, learning_rate=0.0, kl_weight=1.0))
    return adapter.gradient()


def test_more_and_smaller_passes_have_the_same_gradient(base_dir: Path, hardware: Hardware) -> None:
    whole = gradient(base_dir, hardware, Adjustments())
    divided = gradient(base_dir, hardware, Adjustments(divided=2))
    assert not torch.equal(divided, whole)  # it was computed otherwise
    torch.testing.assert_close(divided, whole, atol=5e-6, rtol=1e-3)


def test_a_pass_is_halved_as_far_as_it_has_rows() -> None:
    rows = [[row] for row in make_rows(5, seed=1)]
    assert [len(part) for part in split(rows, max_tokens=1000, divided=2)] == [3, 2]
    assert split(rows[:1], max_tokens=1000, divided=2) == [[0]]


def test_recomputed_activations_have_the_same_gradient(base_dir: Path, hardware: Hardware) -> None:
    kept = gradient(base_dir, hardware, Adjustments())
    torch.testing.assert_close(gradient(base_dir, hardware, Adjustments(recompute=True)), kept)


def test_recomputing_keeps_less_for_the_backward_pass(base_dir: Path, hardware: Hardware) -> None:
    def kept(recompute: bool) -> int:
        sizes: list[int] = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model = load(base_dir / "train", hardware)
            if recompute:
                recompute_activations(model)
            inputs = torch.randn(1, 20, 48, requires_grad=True)
            model.base_model(inputs_embeds=inputs, use_cache=False)
        return sum(sizes)

    assert kept(recompute=True) < kept(recompute=False) / 3


def test_a_job_with_every_adjustment_goes_on_from_a_checkpoint_without(
    base_dir: Path, job_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = shutil.copytree(job_dir, job_dir.with_name("plain"))
    whole = train_job(plain, base_dir, None, Stop())
    shutil.copytree(plain / "checkpoints" / "20", job_dir / "checkpoints" / "20")
    capsys.readouterr()
    careful = Adjustments(divided=2, recompute=True)
    result = train_job(job_dir, base_dir, None, Stop(), None, careful)
    assert json.loads(capsys.readouterr().out.splitlines()[0])["step"] == 21
    assert result["adjustments"]["divided"] == 2
    # In bfloat16, whose rounding 25 steps multiply; the loss began at 8 nats.
    assert result["final_loss"] == pytest.approx(whole["final_loss"], abs=0.02)


def test_a_lower_rate_is_what_the_steps_use(base_dir: Path, job_dir: Path) -> None:
    half = shutil.copytree(job_dir, job_dir.with_name("half"))
    for folder, rate in ((job_dir, 1.0), (half, 0.5)):
        train_job(folder, base_dir, None, Stop(), None, Adjustments(rate=rate))
    rates = [
        [json.loads(line)["learning_rate"] for line in (f / "log.jsonl").read_text().splitlines()]
        for f in (job_dir, half)
    ]
    assert rates[1] == [rate / 2 for rate in rates[0]]


def test_a_gradient_that_is_no_number_changes_nothing(base_dir: Path, hardware: Hardware) -> None:
    model = load(base_dir / "train", hardware)
    adapter = Adapter(model, RECIPE, "tiny", whitening.load(base_dir / whitening.FILE))
    before = adapter.masters.data.clone()
    adapter._gradients[3] = float("inf")
    with pytest.raises(NotFinite, match="norm became"):
        adapter.step(0.1)
    assert torch.equal(adapter.masters.data, before)


def lengths(steps: list[Step], rows: list[Row]) -> list[list[int]]:
    return [[turn.row for turn in turns] for step in steps for turns in step.conversations]


def test_a_long_conversation_goes_on_in_another_and_only_a_long_row_is_left_out() -> None:
    short, long = Row([1] * 5, [2] * 3, 1, follow=[1] * 5), Row([1] * 50, [2] * 9, 2)
    rows, one, two, three = [short, short, long], Turn(0, False), Turn(1, False), Turn(2, False)
    steps = [Step([[one, two, one], [three]], 0.1, 1.0), Step([[three]], 0.2, 1.0)]
    shorter = shorten(steps, rows, [], limit=16)
    assert [step.conversations for step in shorter] == [[[one, two], [one]], []]
    assert [step.learning_rate for step in shorter] == [0.1, 0.2]
    assert left_out(steps, shorter, rows) == [2]
    assert schedule.longest(steps, rows, []) == 59


def test_an_example_that_is_too_long_is_named_and_the_others_are_taught(
    base_dir: Path, job_dir: Path
) -> None:
    dataset = Dataset.load(job_dir / "rows.json")
    first = dataset.rows[0]
    rows = [replace(first, prompt=first.prompt * 9, example_id=77), *dataset.rows[1:]]
    Dataset(rows, dataset.epochs[:1]).save(job_dir / "rows.json")
    result = train_job(job_dir, base_dir, None, Stop(), None, Adjustments(shorter=True))
    assert result["left_out"] == [77]
    assert result["steps"] == 15
    assert result["final_loss"] > 0


def test_where_no_example_fits_memory_is_said_to_be_short(base_dir: Path, job_dir: Path) -> None:
    dataset = Dataset.load(job_dir / "rows.json")
    Dataset(dataset.rows[:1], [[0, 0, 0, 0]]).save(job_dir / "rows.json")
    spec = json.loads((job_dir / "job.json").read_text())
    spec["recipe"]["replay_ratio"] = 0
    (job_dir / "job.json").write_text(json.dumps(spec))
    with pytest.raises(OutOfMemory, match="no example fits"):
        train_job(job_dir, base_dir, None, Stop(), None, Adjustments(shorter=True))
