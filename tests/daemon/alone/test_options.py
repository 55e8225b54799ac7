"""The command line has every option of training, and what it says again must be the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shammah.config import Config
from shammah.errors import JobError, UsageError
from shammah.options import TrainingConfig
from shammah_daemon.alone.options import LEARNING, chosen, parse, require_same
from shammah_daemon.alone.wording import failure
from shammah_daemon.anticipation import training

SCRIPT = Path(__file__).parents[3] / "scripts" / "train_lora.py"


def options(*given: str) -> list[str]:
    return ["queue.jsonl", "out", *given]


def test_help_lists_every_option_of_training() -> None:
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    shown = re.findall(r"--[a-z0-9-]+", done.stdout)
    for name in (*TrainingConfig.model_fields, *LEARNING):
        assert "--" + name.replace("_", "-") in shown


def test_options_win_over_the_preset_and_the_preset_over_the_settings() -> None:
    config = Config(training=TrainingConfig(rank=8, epochs=4))
    plain = chosen(parse(options()), config).training
    deep = chosen(parse(options("--preset", "deep", "--rank", "16")), config).training
    assert (plain.rank, plain.epochs) == (8, 4)
    assert (deep.rank, deep.epochs) == (16, 5)


def test_values_are_written_as_transformers_users_write_them() -> None:
    given = options(
        "--learning_rate=1e-3", "--target-modules", "q_proj", "v_proj,k_proj", "--use-dora",
        "--no-whiten", "--report-to", "none", "--lr-scheduler-type", "cosine",
    )  # fmt: skip
    found = chosen(parse(given), Config()).training
    assert found.learning_rate == 1e-3
    assert found.target_modules == ["q_proj", "v_proj", "k_proj"]
    assert (found.use_dora, found.whiten, found.report_to) == (True, False, [])
    assert found.lr_scheduler_type == "cosine"
    launch = "torchrun --standalone --nproc-per-node=2"
    several = chosen(parse(options("--launch", launch, "--fsdp")), Config()).training
    assert training(Path("base"), several) == [
        "shammah.training", "train", "base", "--launch", launch, "--fsdp",
    ]  # fmt: skip
    all_layers = chosen(parse(options("--target-modules", "all-linear")), Config()).training
    assert all_layers.target_modules == "all-linear"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--rank", "0"), "rank = '0'"),
        (("--replay-ratio", "-1"), "--replay-ratio -1"),
        (("--validation-split", "1.5"), "--validation-split 1.5"),
    ],
)
def test_a_value_outside_its_limits_is_refused_by_name(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chosen(parse(options(*given)), Config())


def test_resumed_with_the_same_options_or_none_but_not_with_others() -> None:
    given = ("--preset", "deep", "--rank", "16", "--kl-weight", "0.5", "--validation-split", "0.2")
    begun = chosen(parse(options(*given)), Config())
    elsewhere = Config(training=TrainingConfig(alpha=8))  # the settings may have changed since
    require_same(parse(options()), begun, elsewhere)
    require_same(parse(options(*given)), begun, elsewhere)
    for other in (("--rank", "8"), ("--kl-weight", "1"), ("--preset", "quick"), ("--skip-bad",),
                  ("--validation-split", "0.1")):  # fmt: skip
        with pytest.raises(UsageError, match=f"{other[0]} is .* begun with"):
            require_same(parse(options(*other)), begun, elsewhere)


def test_errors_name_options_where_the_daemon_names_settings() -> None:
    error = JobError(
        "no example fits into training.max_length = 64 tokens",
        hint="'shammah config set training.max_length 128'",
    )
    assert failure(error) == [
        "error: no example fits into --max-length = 64 tokens", "hint: --max-length 128",
    ]  # fmt: skip


def test_without_the_environment_the_script_says_how_to_make_it(tmp_path: Path) -> None:
    bare = tmp_path / "scripts" / SCRIPT.name
    bare.parent.mkdir()
    bare.write_bytes(SCRIPT.read_bytes())
    done = subprocess.run([sys.executable, bare], capture_output=True, text=True)
    assert done.returncode == 2
    assert "run scripts/setup" in done.stderr
