"""How a training is sized to a machine, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.bases.gguf_header import read_header
from shammah.training.planning import (
    FEWEST_TOKENS,
    LONGEST_TOKENS,
    USED_SHARE,
    Machine,
    Plan,
    Work,
    expected_work,
    least_bytes,
    plan,
)
from shammah.training.schedule import CONVERSATION_TOKENS
from shammah.training.sizing import (
    WHITENED_DIRECTIONS,
    Pass,
    Setting,
    Shape,
    peak_bytes,
    shape_in,
)
from shammah.training.whitening import DIRECTIONS
from tests.tiny import FEED_FORWARD, HEADS, HIDDEN, KV_HEADS, LAYERS, embedded_gguf, tiny_gguf

GB = 10**9
EMBEDDED = Shape(134_515_008, 49_152, 576, 1536, 30, 9, 3, 64, tied=True)
LARGE = Shape.typical(8 * 10**9)
CPU = Machine("cpu", "", 24 * GB, 20 * GB, bf16=True)
GPU = Machine("cuda", "H", 80 * GB, 75 * GB, bf16=True, four_bit=True)
WORK = expected_work(rank=32, batch_rows=4, replay_ratio=1.0)


def reasons(found: Plan) -> dict[str, tuple[str, str]]:
    return {line.name: (line.choice, line.reason) for line in found.lines}


def test_where_there_is_room_nothing_is_saved_and_each_choice_has_a_reason() -> None:
    found = plan(EMBEDDED, [CPU], WORK)
    assert (found.fits, found.max_tokens, found.passes) == (True, 1024, 1)
    assert not found.setting.recompute
    assert not found.setting.four_bit
    assert [line.name for line in found.lines] == [
        "device", "precision", "weights", "micro-batch", "accumulation", "activations", "memory",
    ]  # fmt: skip
    assert all(line.choice and line.reason for line in found.lines)
    assert reasons(found)["activations"] == ("kept", "they fit")


def test_short_of_memory_passes_get_smaller_before_anything_is_computed_again() -> None:
    work = replace(WORK, longest_tokens=100, step_tokens=2000)
    needed = plan(EMBEDDED, [CPU], work).predicted_bytes
    shorter = replace(CPU, free_bytes=int(0.9 * needed / USED_SHARE))
    found = plan(EMBEDDED, [shorter], work)
    assert found.fits
    assert FEWEST_TOKENS <= found.max_tokens < 1024
    assert found.passes == -(-2000 // found.max_tokens)
    assert not found.setting.recompute
    assert "do not fit" in reasons(found)["micro-batch"][1]


def test_where_the_smallest_pass_does_not_fit_activations_are_computed_again() -> None:
    least = least_bytes(EMBEDDED, CPU, rank=32, longest_tokens=LONGEST_TOKENS)
    found = plan(EMBEDDED, [replace(CPU, free_bytes=int(1.01 * least / USED_SHARE))], WORK)
    assert found.fits
    assert found.setting.recompute
    assert reasons(found)["activations"][0] == "computed again"


def test_four_bits_are_taken_only_where_sixteen_do_not_fit() -> None:
    assert not plan(LARGE, [GPU], WORK).setting.four_bit
    small = replace(GPU, free_bytes=12 * GB)
    found = plan(LARGE, [small], WORK)
    assert found.fits
    assert found.setting.four_bit
    assert reasons(found)["weights"][0] == "4-bit NF4"
    assert not plan(LARGE, [replace(small, four_bit=False)], WORK).fits


def test_processes_that_divide_a_base_need_no_four_bits_where_one_does() -> None:
    small = replace(GPU, free_bytes=14 * GB)
    assert plan(LARGE, [small], WORK).setting.four_bit
    found = plan(LARGE, [small], WORK, shards=4)
    assert found.fits
    assert (found.setting.four_bit, found.setting.shards) == (False, 4)
    assert reasons(found)["weights"] == (
        "bfloat16, in 4 parts",
        "7.4 GB a process instead of 16.0 GB",
    )
    plain = replace(GPU, four_bit=False)
    whole = least_bytes(LARGE, plain, 32, LONGEST_TOKENS)
    assert least_bytes(LARGE, plain, 32, LONGEST_TOKENS, shards=4) < whole


def test_on_a_processor_a_divided_base_takes_no_less() -> None:
    found = plan(EMBEDDED, [CPU], WORK, shards=2)
    assert found.predicted_bytes == plan(EMBEDDED, [CPU], WORK).predicted_bytes
    assert "saves no memory" in reasons(found)["weights"][1]


def test_a_gpu_that_is_too_small_is_passed_over_and_said_to_be() -> None:
    full = replace(GPU, free_bytes=GB, four_bit=False)
    found = plan(EMBEDDED, [full, CPU], WORK)
    assert (found.setting.device, found.fits) == ("cpu", True)
    assert "CUDA lacks memory" in reasons(found)["device"][1]
    assert plan(EMBEDDED, [GPU, CPU], WORK).setting.device == "cuda"


def test_a_machine_that_is_too_small_is_told_what_is_needed() -> None:
    found = plan(LARGE, [replace(CPU, free_bytes=4 * GB)], WORK)
    assert not found.fits
    assert found.predicted_bytes == least_bytes(LARGE, CPU, 32, LONGEST_TOKENS)
    assert reasons(found)["memory"][1] == "more than there is: 4.0 GB free"


def test_without_native_bfloat16_it_computes_in_float32() -> None:
    found = plan(EMBEDDED, [replace(CPU, bf16=False)], WORK)
    assert found.setting.precision == "float32"
    assert found.predicted_bytes > plan(EMBEDDED, [CPU], WORK).predicted_bytes


@given(st.integers(10**8, 10**11), st.integers(50, 2000), st.integers(50, 8000))
def test_a_plan_that_fits_leaves_the_spare_and_more_memory_never_fits_less(
    free: int, longest: int, step: int
) -> None:
    work = Work(32, longest, max(step, longest))
    found = plan(EMBEDDED, [replace(CPU, free_bytes=free)], work)
    assert found.fits == (found.predicted_bytes <= USED_SHARE * free)
    more = plan(EMBEDDED, [replace(CPU, free_bytes=2 * free)], work)
    assert more.fits >= found.fits
    assert more.max_tokens >= found.max_tokens or found.setting.recompute


def test_the_logits_of_a_short_pass_come_on_top_of_the_activations_of_a_long_one() -> None:
    setting = Setting("cpu", "bfloat16", rank=32, recompute=True)
    long, short = Pass(900, 900, 900, 0, targets=80), Pass(360, 360, 360, 0, targets=200)
    both = peak_bytes(EMBEDDED, setting, [long, short])
    assert both > max(peak_bytes(EMBEDDED, setting, [one]) for one in (long, short))
    assert both == peak_bytes(EMBEDDED, setting, [replace(long, targets=short.targets)])


def test_a_shape_is_read_from_a_gguf_header_and_from_a_config(tmp_path: Path) -> None:
    assert Shape.of_header(read_header(embedded_gguf())) == EMBEDDED
    tiny = Shape.of_header(read_header(tiny_gguf("qwen2", tmp_path)))
    assert (tiny.hidden, tiny.intermediate, tiny.layers) == (HIDDEN, FEED_FORWARD, LAYERS)
    assert (tiny.heads, tiny.kv_heads, tiny.tied) == (HEADS, KV_HEADS, False)
    config = {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152,
        "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = shape_in(tmp_path, 1)
    assert replace(found, parameters=EMBEDDED.parameters) == EMBEDDED
    assert found.parameters == pytest.approx(EMBEDDED.parameters, rel=1e-3)


def test_a_base_of_another_kind_is_taken_to_be_typical_of_its_size(tmp_path: Path) -> None:
    assert shape_in(tmp_path, 10**9) == Shape.typical(10**9)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    assert shape_in(tmp_path, 10**9) == Shape.typical(10**9)
    typical = Shape.typical(8 * 10**9)
    assert typical.linear_parameters == pytest.approx(8e9, rel=0.3)


def test_what_is_repeated_here_without_torch_is_what_the_trainer_does() -> None:
    assert LONGEST_TOKENS == CONVERSATION_TOKENS
    assert WHITENED_DIRECTIONS == DIRECTIONS
