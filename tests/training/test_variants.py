"""Every optimizer, schedule and kind of adapter trains a small job, and goes on where it ended."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, get_scheduler

from shammah.errors import JobError, NotFinite
from shammah.stage import Stop, Stopped
from shammah.training import train as training
from shammah.training import whitening
from shammah.training.adapter import Adapter
from shammah.training.loop import Trainer, jumps_from
from shammah.training.model import Hardware, linear_layers, load
from shammah.training.schedule import Step, Turn, share_of_peak
from shammah.training.sizes import learning_rate_for
from shammah.training.spec import JobSpec, Recipe
from shammah.training.teacher import Replay
from shammah.training.train import train_job
from tests.training.toys import RECIPE, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


WEIGHTS = Path("adapter") / "adapter_model.safetensors"

VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {"optim": "sgd", "learning_rate": 4.0, "adam_beta1": 0.9},
    "adafactor": {"optim": "adafactor"},
    "weight decay": {"weight_decay": 0.1, "adam_beta1": 0.9, "adam_beta2": 0.99},
    "plain coordinates": {"whiten": False},
    "dropout": {"dropout": 0.1},
    "rslora": {"use_rslora": True, "learning_rate": 1e-2},
    "dora": {"use_dora": True},
    "dora and dropout": {"use_dora": True, "dropout": 0.1},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "some layers": {"target_modules": ["q_proj", "v_proj", "down_proj"]},
    "accumulation": {"gradient_accumulation_steps": 3},
    "cosine": {"lr_scheduler_type": "cosine"},
    "restarts": {"lr_scheduler_type": "cosine_with_restarts", "lr_cycles": 3},
    "polynomial": {"lr_scheduler_type": "polynomial", "lr_power": 2.0},
    "constant": {"lr_scheduler_type": "constant"},
}


def with_recipe(job_dir: Path, **changes: Any) -> None:
    spec = JobSpec.load(job_dir / "job.json")
    replace(spec, recipe=replace(spec.recipe, **changes)).save(job_dir / "job.json")


class StopAt(Stop):
    """Set after so many steps."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._left = step - 1  # it is asked once a step

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_learns_and_ended_at_a_step_it_goes_on_to_the_same_bytes(
    base_dir: Path, job_dir: Path, changes: dict[str, Any]
) -> None:
    with_recipe(job_dir, **changes)
    broken = shutil.copytree(job_dir, job_dir.with_name("broken"))
    train_job(job_dir, base_dir, None, Stop())
    log = [json.loads(line) for line in (job_dir / "log.jsonl").read_text().splitlines()]
    share = 0.8 if changes.get("optim") == "sgd" else 0.5  # B must grow before A has a gradient
    assert sum(line["nll"] for line in log[-5:]) < share * sum(line["nll"] for line in log[:5])
    with pytest.raises(Stopped):
        train_job(broken, base_dir, None, StopAt(17))
    assert not (broken / WEIGHTS).exists()
    train_job(broken, base_dir, None, Stop())
    assert (broken / WEIGHTS).read_bytes() == (job_dir / WEIGHTS).read_bytes()


@pytest.mark.parametrize("kind", ["rslora", "dora", "some layers", "orthogonal"])
def test_peft_loads_the_adapter_and_says_what_training_did(
    base_dir: Path, job_dir: Path, hardware: Hardware, kind: str
) -> None:
    with_recipe(job_dir, **VARIANTS[kind])
    ready = training.Ready(hardware, load(base_dir / "train", hardware))
    train_job(job_dir, base_dir, None, Stop(), ready)
    ids = torch.tensor([make_rows(1, 2)[0].prompt])
    with torch.no_grad():
        expected = ready.model(input_ids=ids).logits
        plain = AutoModelForCausalLM.from_pretrained(base_dir / "train", dtype=torch.float32)
        loaded = PeftModel.from_pretrained(plain, str(job_dir / "adapter"))
        torch.testing.assert_close(loaded(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"use_rslora": True}], ids=str)
def test_training_goes_on_from_an_adapter_of_that_kind(
    base_dir: Path, job_dir: Path, changes: dict[str, Any]
) -> None:
    with_recipe(job_dir, **changes)
    quick = shutil.copytree(job_dir, job_dir.with_name("quick"))
    train_job(job_dir, base_dir, None, Stop())
    train_job(quick, base_dir, job_dir / "adapter", Stop())
    first = json.loads((quick / "log.jsonl").read_text().splitlines()[0])
    last = json.loads((job_dir / "log.jsonl").read_text().splitlines()[-1])
    assert first["nll"] < 2 * last["nll"] + 0.05


def test_dora_is_not_gone_on_with_as_plain_lora(base_dir: Path, job_dir: Path) -> None:
    quick = shutil.copytree(job_dir, job_dir.with_name("quick"))
    train_job(job_dir, base_dir, None, Stop())
    with_recipe(quick, use_dora=True)
    with pytest.raises(JobError, match="cannot start from the adapter"):
        train_job(quick, base_dir, job_dir / "adapter", Stop())


def test_a_layer_that_the_base_has_not_is_refused_with_those_it_has(
    base_dir: Path, job_dir: Path
) -> None:
    with_recipe(job_dir, target_modules=["q_proj", "c_attn"])
    with pytest.raises(JobError, match="no linear layers called c_attn") as caught:
        train_job(job_dir, base_dir, None, Stop())
    assert "down_proj" in str(caught.value.hint)


def test_orthogonal_matrices_need_an_even_rank(base_dir: Path, job_dir: Path) -> None:
    with_recipe(job_dir, rank=5, init_lora_weights="orthogonal")
    with pytest.raises(JobError, match="even rank, not 5"):
        train_job(job_dir, base_dir, None, Stop())


def test_eight_bit_moments_without_a_gpu_are_one_clear_error(base_dir: Path, job_dir: Path) -> None:
    with_recipe(job_dir, optim="paged_adamw_8bit")
    with pytest.raises(JobError, match="needs a CUDA device"):
        train_job(job_dir, base_dir, None, Stop())


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        ("linear", "linear", {}),
        ("cosine", "cosine", {}),
        ("cosine_with_restarts", "cosine_with_restarts", {"num_cycles": 3}),
        ("polynomial", "polynomial", {"power": 2.0, "lr_end": 0.0}),
        ("constant", "constant_with_warmup", {}),
    ],
)
def test_after_the_warm_up_the_rate_is_that_of_transformers(
    ours: Any, theirs: str, arguments: dict[str, Any]
) -> None:
    warmup, steps = 4, 40
    recipe = replace(RECIPE, warmup_steps=warmup, lr_scheduler_type=ours, lr_cycles=3, lr_power=2.0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(
        theirs, optimizer, warmup, steps,
        scheduler_specific_kwargs={k: v for k, v in arguments.items() if theirs != "linear"},
    )  # fmt: skip
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = [share_of_peak(step, steps, recipe) for step in range(steps)]
    assert found[warmup:] == pytest.approx(expected[warmup:], abs=1e-7)
    assert found[:warmup] == pytest.approx([0.2, 0.4, 0.6, 0.8])  # theirs begins with a step at 0


def trainer(base_dir: Path, hardware: Hardware, recipe: Recipe) -> tuple[Trainer, Adapter]:
    model = load(base_dir / "train", hardware)
    adapter = Adapter(model, recipe, "tiny", whitening.load(base_dir / whitening.FILE))
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            tensor.data.normal_(std=0.1, generator=torch.Generator().manual_seed(3))
    rows = make_rows(4, seed=6)
    return Trainer(model, adapter, hardware, rows, Replay([], []), recipe), adapter


ONE_STEP = Step([[Turn(row, False)] for row in range(4)], learning_rate=0.0, kl_weight=1.0)


def test_dropout_is_drawn_from_the_step_and_absent_from_measurements(
    base_dir: Path, hardware: Hardware
) -> None:
    dropped, adapter = trainer(base_dir, hardware, replace(RECIPE, dropout=0.5))
    whole, _ = trainer(base_dir, hardware, RECIPE)

    def loss(seed: int) -> float:
        with adapter.dropping(seed):
            return dropped.gradients(ONE_STEP).nll

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
    assert dropped.gradients(ONE_STEP).nll == pytest.approx(whole.gradients(ONE_STEP).nll, rel=1e-5)


def test_dora_that_has_learned_nothing_is_the_base(base_dir: Path, hardware: Hardware) -> None:
    half = replace(hardware, dtype=torch.bfloat16)
    ids = torch.tensor([make_rows(1, 2)[0].prompt])
    model = load(base_dir / "train", half)
    with torch.no_grad():
        before = model(input_ids=ids).logits
        Adapter(model, replace(RECIPE, use_dora=True, whiten=False), "tiny", {})
        torch.testing.assert_close(model(input_ids=ids).logits, before, atol=2e-2, rtol=2e-2)


def test_a_longer_gradient_is_cut_only_where_there_is_a_limit(
    base_dir: Path, hardware: Hardware
) -> None:
    def moved(limit: float) -> float:
        recipe = replace(RECIPE, optim="sgd", adam_beta1=0.0, max_grad_norm=limit)
        one, adapter = trainer(base_dir, hardware, recipe)
        one.gradients(ONE_STEP)
        before = adapter.masters.data.clone()
        norm = adapter.step(1.0)
        assert norm > 0.01
        return float((adapter.masters.data - before).norm()) / norm

    assert moved(0.0) == pytest.approx(1.0, rel=1e-3)
    assert moved(0.01) < 0.9


def test_a_loss_jumps_when_it_is_far_above_all_recent_ones() -> None:
    recent = [2.0, 1.0, 3.0, 1.5, 1.0]
    assert jumps_from(recent, 12.1, 4.0, ignorance=10.0)
    assert not jumps_from(recent, 11.9, 4.0, ignorance=10.0)
    assert not jumps_from(recent[1:], 12.1, 4.0, ignorance=10.0)  # too few to tell
    assert not jumps_from(recent, 1000.0, 0.0, ignorance=10.0)


def test_a_new_example_among_known_ones_is_no_jump() -> None:
    known = [0.02] * 20
    assert not jumps_from(known, 9.9, 4.0, ignorance=10.0)
    assert jumps_from(known, 10.1, 4.0, ignorance=10.0)


def spoilt(base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Train; the loss of `steps` is a hundred times what it is."""
    with_recipe(job_dir, max_loss_jump=4.0)
    honest, asked = Trainer.gradients, iter(range(1, 1000))

    def gradients(self: Trainer, step: Step) -> Any:
        means = honest(self, step)
        return replace(means, nll=100 * (means.nll + 1)) if next(asked) in steps else means

    monkeypatch.setattr(Trainer, "gradients", gradients)
    train_job(job_dir, base_dir, None, Stop())


def test_a_step_whose_loss_jumps_changes_nothing_and_is_counted(
    base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(base_dir, job_dir, monkeypatch, 12)
    log = [json.loads(line) for line in (job_dir / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["skipped"]] == [12]
    assert log[-1]["nll"] < 0.2


def test_a_loss_that_jumps_again_and_again_ends_training(
    base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFinite, match="the 3rd time in a row"):
        spoilt(base_dir, job_dir, monkeypatch, 12, 13, 14)


def test_the_share_of_likely_tokens_rises_to_one(base_dir: Path, job_dir: Path) -> None:
    result = train_job(job_dir, base_dir, None, Stop())
    log = [json.loads(line) for line in (job_dir / "log.jsonl").read_text().splitlines()]
    assert log[0]["token_accuracy"] < 0.5
    assert log[-1]["token_accuracy"] == 1.0
    assert len(result["held_out_accuracy"]) == len(result["held_out_nll"])
    assert all(0 <= share <= 1 for share in result["held_out_accuracy"])


def test_as_many_checkpoints_are_kept_as_are_asked_for(base_dir: Path, job_dir: Path) -> None:
    with_recipe(job_dir, save_total_limit=1, patience=0)
    result = train_job(job_dir, base_dir, None, Stop())
    kept = {int(path.name) for path in (job_dir / "checkpoints").iterdir()}
    assert len(kept) <= 2  # the newest, and the best where it is another
    assert 40 in kept
    assert result["saved_step"] in kept | {45}


def test_sgd_learns_at_a_rate_of_its_own() -> None:
    assert learning_rate_for(100_000_000, "sgd") > 100 * learning_rate_for(100_000_000)
    assert learning_rate_for(100_000_000, "adafactor") == learning_rate_for(100_000_000)


def test_all_linear_layers_are_adapted_where_none_are_named(
    base_dir: Path, job_dir: Path, hardware: Hardware
) -> None:
    train_job(job_dir, base_dir, None, Stop())
    config = json.loads((job_dir / "adapter" / "adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == sorted(
        linear_layers(load(base_dir / "train", hardware))
    )
    assert math.isclose(config["lora_alpha"], RECIPE.alpha)


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.1}], ids=str)
def test_a_base_that_is_kept_in_four_bits_is_taught_as_one_in_sixteen(
    wide_base_dir: Path, job_dir: Path, hardware: Hardware, changes: dict[str, Any]
) -> None:
    """On a CPU, where bitsandbytes can do it too; lessons themselves take 4 bits on CUDA alone.

    bitsandbytes is no part of the extra `dev`: PEFT imports it wherever it is, in every stage.
    """
    pytest.importorskip("bitsandbytes")
    with_recipe(job_dir, **changes)
    ends, sizes = [], []
    for four_bit in (True, False):
        folder = shutil.copytree(job_dir, job_dir.with_name(f"four-bit-{four_bit}"))
        own = replace(hardware, dtype=torch.bfloat16, four_bit=four_bit)
        model = load(wide_base_dir / "train", own)
        sizes.append(model.get_memory_footprint())  # type: ignore[no-untyped-call]
        train_job(folder, wide_base_dir, None, Stop(), training.Ready(own, model))
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        ends.append(sum(line["nll"] for line in log[-5:]) / sum(line["nll"] for line in log[:5]))
    assert sizes[0] < sizes[1]
    assert ends[0] < 0.9
    assert ends[0] == pytest.approx(ends[1], abs=0.15)


def test_dora_on_a_base_in_four_bits_is_refused(
    wide_base_dir: Path, job_dir: Path, hardware: Hardware
) -> None:
    pytest.importorskip("bitsandbytes")
    with_recipe(job_dir, use_dora=True)
    small = replace(hardware, dtype=torch.bfloat16, four_bit=True)
    ready = training.Ready(small, load(wide_base_dir / "train", small))
    with pytest.raises(JobError, match="needs the base in 16 bits"):
        train_job(job_dir, wide_base_dir, None, Stop(), ready)
