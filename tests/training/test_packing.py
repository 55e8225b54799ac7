"""Packing changes neither the loss nor the gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from shammah.training import teacher, whitening
from shammah.training.adapter import Adapter
from shammah.training.attention_sizes import MAX_SCORES
from shammah.training.loop import Trainer
from shammah.training.model import PACKED_ATTENTION, Hardware, load, target_logits
from shammah.training.packing import pack, shared_prefix, size, split
from shammah.training.schedule import Step, Turn
from shammah.training.spec import Row
from tests.training.toys import RECIPE, SYSTEM_PROMPT, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def test_shared_prefix_is_what_all_prompts_begin_with() -> None:
    assert shared_prefix(alone([Row([1, 2, 3, 4], [9]), Row([1, 2, 5, 4, 6], [9])])) == 2


def test_each_row_keeps_a_prompt_token_of_its_own() -> None:
    assert shared_prefix(alone([Row([1, 2, 3], [9]), Row([1, 2, 3, 4], [9])])) == 2
    assert shared_prefix(alone([Row([1], [9]), Row([1], [8])])) == 0


def test_a_shared_prefix_is_computed_once() -> None:
    rows = make_rows(4, seed=5)
    packed = pack(alone(rows), torch.float32, torch.device("cpu"))
    own = sum(len(row.prompt) + len(row.target) - 1 - len(SYSTEM_PROMPT) for row in rows)
    assert packed.ids.shape == (1, len(SYSTEM_PROMPT) + own)


@pytest.mark.parametrize("same_start", [True, False])
def test_packed_rows_have_the_logits_of_transformers_own_attention(
    base_dir: Path, hardware: Hardware, same_start: bool
) -> None:
    rows = make_rows(5, seed=4)
    if not same_start:
        rows = [replace(row, prompt=row.prompt[index:]) for index, row in enumerate(rows)]
    model = load(base_dir / "train", hardware)
    packed = target_logits(model, pack(alone(rows), torch.float32, hardware.device))
    model.set_attn_implementation("eager")
    expected = [
        model(torch.tensor([row.prompt + row.target])).logits[0, len(row.prompt) - 1 : -1]
        for row in rows
    ]
    torch.testing.assert_close(packed, torch.cat(expected), atol=1e-5, rtol=1e-4)


def test_a_conversation_has_the_logits_of_its_tokens_in_one_row(
    base_dir: Path, hardware: Hardware
) -> None:
    rows = [replace(row, follow=row.prompt[5:], close=[3]) for row in make_rows(6, seed=8)]
    conversations = [rows[:3], [rows[3]], rows[4:]]
    model = load(base_dir / "train", hardware)
    for chosen in (conversations, conversations[:1]):
        packed = target_logits(model, pack(chosen, torch.float32, hardware.device))
        model.set_attn_implementation("eager")
        expected = [logits for turns in chosen for logits in _in_one_row(model, turns)]
        torch.testing.assert_close(packed, torch.cat(expected), atol=1e-5, rtol=1e-4)
        model.set_attn_implementation(PACKED_ATTENTION)


def test_targets_and_size_of_a_conversation() -> None:
    first = Row([1, 2], [3, 4], close=[5])
    second = Row([1, 9], [8, 7], follow=[6])
    packed = pack([[first, second]], torch.float32, torch.device("cpu"))
    assert packed.ids.tolist() == [[1, 2, 3, 4, 5, 6, 8]]
    assert packed.targets.tolist() == [3, 4, 8, 7]
    assert packed.predictors.tolist() == [1, 2, 5, 6]
    assert size([first, second]) == 8


def test_a_packed_step_has_the_loss_and_gradient_of_rows_one_by_one(
    base_dir: Path, hardware: Hardware
) -> None:
    packed = _one_step(base_dir, hardware)
    one_by_one = _one_step(base_dir, replace(hardware, max_tokens=1))
    assert packed[0] == pytest.approx(one_by_one[0], rel=1e-5)
    assert packed[1] > 0
    assert packed[1] == pytest.approx(one_by_one[1], rel=1e-3)
    torch.testing.assert_close(packed[2], one_by_one[2], atol=5e-6, rtol=1e-3)


def test_split_keeps_every_row_once_and_both_limits() -> None:
    rows = [Row([1] * length, [2]) for length in (5, 900, 40, 40, 700, 3, 2000)]
    batches = split(alone(rows), max_tokens=1000)
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    for batch in batches:
        lengths = [len(rows[index].prompt) + 1 for index in batch]
        only = len(batch) == 1
        assert only or sum(lengths) <= 1000
        assert only or len(batch) * max(lengths) ** 2 <= MAX_SCORES


def alone(rows: Sequence[Row]) -> list[list[Row]]:
    return [[row] for row in rows]


def _in_one_row(model: PreTrainedModel, turns: Sequence[Row]) -> Iterator[torch.Tensor]:
    tokens: list[int] = []
    for row in turns:
        tokens += row.follow if tokens else row.prompt
        start = len(tokens)
        tokens += row.target
        yield model(torch.tensor([tokens])).logits[0, start - 1 : -1]
        tokens += row.close


def _one_step(base_dir: Path, hardware: Hardware) -> tuple[float, float, torch.Tensor]:
    model = load(base_dir / "train", hardware)
    adapter = Adapter(model, RECIPE, "tiny", whitening.load(base_dir / whitening.FILE))
    generator = torch.Generator().manual_seed(3)
    for name, tensor in model.named_parameters():  # B is zero at first, and A's gradient with it
        if "lora_B" in name:
            tensor.data.normal_(std=0.1, generator=generator)
    replay = teacher.load(base_dir / "teacher.safetensors", base_dir / "replay.tokens.json")
    rows = [replace(row, follow=row.prompt[5:]) for row in make_rows(4, seed=6)]
    trainer = Trainer(model, adapter, hardware, rows, replay, RECIPE)
    taught, replayed = (
        [Turn(row, False) for row in range(4)],
        [Turn(row, True) for row in (0, 3, 5)],
    )
    step = Step(
        [[replayed[0], *taught[:2]], [taught[2]], [taught[3]], *([t] for t in replayed[1:])],
        learning_rate=0.0,
        kl_weight=1.0,
    )
    means = trainer.gradients(step)
    return means.nll, means.kl, adapter.gradient()
