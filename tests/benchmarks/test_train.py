"""Which rows the trainers are compared on, with which settings, and what is counted."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import child, flops
from benchmarks.gemm_stage import best
from benchmarks.rows import LONG, SHORT, Size, of_lesson, of_text
from benchmarks.train import (
    COMPARED,
    DEFAULTS,
    OURS,
    REPLAY,
    TUNED,
    Result,
    Speed,
    environment,
    section,
    step_tokens,
    write,
)
from shammah.errors import JobError
from shammah.training.model import Hardware
from shammah.training.packing import shared_prefix
from shammah.training.spec import Dataset, JobSpec, Recipe, Row
from shammah_daemon.lesson import Lesson

RECIPE = Recipe(
    rank=4, alpha=8, learning_rate=1e-3, kl_weight=1.0, replay_ratio=1.0, batch_rows=2,
    warmup_steps=1, seed=0, patience=2,
)  # fmt: skip
ROWS = [Row(prompt=[1] * size, target=[2, 3], follow=[1]) for size in (3, 4, 5)]


def lesson(epochs: list[list[int]]) -> Lesson:
    spec = JobSpec(
        job_id=1, base="b", mode="consolidate", recipe=RECIPE, examples=[], quantizations=[]
    )
    return Lesson(spec, Dataset(ROWS, epochs), cases=[])


def test_the_first_steps_cross_epochs() -> None:
    rows = of_lesson(lesson([[0, 1, 2], [2, 1, 0]]), steps=2)
    assert rows.dataset.epochs == [[0, 1, 2, 2]]


def test_the_tokens_of_a_step_are_those_of_its_rows() -> None:
    rows = of_lesson(lesson([[0, 1], [2]]), steps=2)
    assert step_tokens(rows.batches) == [5 + 6, 7]


@pytest.mark.parametrize(("size", "least", "most"), [(SHORT, 44, 76), (LONG, 960, 1024)])
def test_rows_of_text_have_their_size_and_share_nothing(size: Size, least: int, most: int) -> None:
    text = list(range(100_000))
    rows = of_text(text, size, RECIPE)
    lengths = [len(row.prompt) + len(row.target) for row in rows.dataset.rows]
    assert all(least <= length <= most for length in lengths)
    assert len(rows.batches) == size.batches * size.epochs
    assert all(shared_prefix([[row] for row in batch]) == 0 for batch in rows.batches)
    joined = [token for row in rows.dataset.rows for token in row.prompt + row.target]
    assert joined == text[: len(joined)]


def test_a_text_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="500 tokens hold"):
        of_text(list(range(500)), LONG, RECIPE)


def test_operations_are_those_that_torch_counts() -> None:
    """On a model whose layers all have an adapter and whose attention is causal."""
    sizes = flops.Sizes(linear=[(6, 10), (10, 6)], head=(50, 10), attention=2 * 3 * 4)
    row = Row([1] * 5, [2] * 4)
    tokens, rank = 8, 2
    inputs = torch.randn(tokens, 10, requires_grad=True)
    with FlopCounterMode(display=False) as counted:
        hidden = inputs
        for out, into in sizes.linear:
            a = torch.randn(rank, into, requires_grad=True)
            b = torch.randn(out, rank, requires_grad=True)
            hidden = hidden @ torch.randn(into, out) + hidden @ a.T @ b.T
        torch.autograd.backward((hidden[:4] @ torch.randn(10, 50)).sum())
    # Of each query with each key that it sees: one product for the score and one for the value,
    # of two operations for each of the attention's sizes, and twice that in the backward pass.
    attention = 3 * 2 * 2 * sizes.attention * sum(range(1, tokens + 1))
    assert flops.of_rows([row], sizes, rank) == counted.get_total_flops() + attention


def test_sizes_are_read_from_the_training_weights(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=70, hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    sizes = flops.Sizes.read(tmp_path)
    linear = [m for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    assert sorted(sizes.linear) == sorted((m.out_features, m.in_features) for m in linear)
    assert sizes.head == (70, 48)
    assert sizes.attention == 2 * 48


def test_the_rate_of_matrix_products_is_one_that_this_machine_has() -> None:
    found = best([(64, 64)], Hardware(torch.device("cpu"), torch.float32, max_tokens=1024))
    assert 1e8 < found["flops_per_second"] < 1e14
    assert found["threads"] == torch.get_num_threads()


def test_without_replay_both_trainers_are_told_the_same(tmp_path: Path) -> None:
    rows = of_lesson(lesson([[0, 1, 2]]), steps=2)
    write(rows, OURS, tmp_path / "plain")
    write(rows, REPLAY, tmp_path / "replay")
    plain = JobSpec.load(tmp_path / "plain" / "job.json").recipe
    assert plain == replace(RECIPE, replay_ratio=0, kl_weight=0, warmup_steps=0, patience=0)
    assert JobSpec.load(tmp_path / "replay" / "job.json").recipe == RECIPE
    alone = Dataset.load(tmp_path / "plain" / "rows.json")
    assert [row.follow for row in alone.rows] == [[], [], []]
    assert Dataset.load(tmp_path / "replay" / "rows.json") == rows.dataset


def test_a_childs_result_comes_with_its_own_peak_of_memory(tmp_path: Path) -> None:
    module = tmp_path / "greedy.py"
    module.write_text(
        "import json, sys\nhold = b'x' * int(sys.argv[1])\n"
        "asked = json.loads(sys.stdin.readline())\nprint('noise')\n"
        "print(json.dumps({'kind': 'result', 'asked': asked}))\nprint('more noise')"
    )
    around = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    # A child begins as a copy of this process: what it holds itself must be more to be seen.
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (200 << 20)
    large = child.run("large", ["greedy", str(held)], around, {"job": 1})
    small = child.run("small", ["greedy", "1"], around)
    assert large.result["asked"] == {"job": 1}
    assert large.peak_bytes > held
    assert small.peak_bytes < held


def test_what_a_child_that_failed_has_said_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('no such rows')")
    with pytest.raises(JobError, match="the trainer failed: no such rows"):
        child.run("the trainer", ["broken"], {"PYTHONPATH": str(tmp_path)})


def test_the_allocator_settings_are_all_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    kept, default = environment(keeps_memory=True), environment(keeps_memory=False)
    differing = {name for name in kept if kept[name] != default.get(name)}
    assert differing
    assert all(name.startswith("MALLOC_") and name not in default for name in differing)


def test_each_trainer_is_shown_beside_trl_tuned_on_the_same_rows() -> None:
    def speed(rows: str, trainer: str, keeps_memory: bool, tokens: int, loss: float) -> Speed:
        return Speed(rows, trainer, keeps_memory, 1, tokens, 2.0, 2**30, [3.0, loss], 0.5)

    speeds = [
        speed(rows, variant.trainer, variant.keeps_memory, tokens, loss)
        for rows, factor in (("short", 1), ("long", 2))
        for variant, tokens, loss in (
            (OURS, 400 * factor, 2.0),
            (TUNED, 100, 2.25),
            (DEFAULTS, 50, 2.0),
            (replace(DEFAULTS, keeps_memory=False), 20, 1.5),
        )
    ]
    shown = section(Result(speeds, 4, 32, [4e11, 5e11], "bfloat16", 2))
    assert len(shown.rows) == 2 * len(COMPARED)
    assert shown.rows[0][:6] == (
        "short: Shammah", "keeps memory", "200", "2.00 s", "4.00 x", "1.00 GiB"
    )  # fmt: skip
    assert shown.rows[4][4] == "8.00 x"
    assert shown.rows[1][-2:] == ("3.000, 2.250", "0.250, +0.125")
    assert shown.rows[3][-1] == "0.500, -0.250"
    assert all(len(row) == len(shown.columns) for row in shown.rows)
