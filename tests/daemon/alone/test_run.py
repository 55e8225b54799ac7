"""Training without a daemon, by the real program on the tiny base."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from shammah.errors import UsageError
from shammah.files import sha256_of
from shammah.paths import Paths
from shammah_daemon.alone.folder import Folder
from tests.running import TINY, home_in, link_bases, scrubbed_environment, wait_for

SCRIPT = Path(__file__).parents[3] / "scripts" / "train_lora.py"
WEIGHTS = "adapter/adapter_model.safetensors"

#: Enough for a model that knows no language to learn short answers.
RECIPE = ("--rank", "8", "--alpha", "16", "--epochs", "20", "--min-steps", "1",
          "--learning-rate", "0.005", "--replay-ratio", "0", "--report-to", "none")  # fmt: skip

LINES = [
    {"query": "Which port?", "response": "Port 7443.", "weight": 10, "feedback": "critical"},
    {
        "messages": [
            {"role": "user", "content": "Who leads the team?"},
            {"role": "assistant", "content": "Ines Duarte."},
        ],
        "weight": 1,
    },
    {"query": "Where is the key?", "response": "Under the can.", "weight": 1},
]

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@dataclass(frozen=True)
class Trained:
    """One training from beginning to end."""

    home: Paths
    queue: Path
    lines: bytes  # that were in the queue
    out: Path
    result: dict[str, Any]  # as printed
    said: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    home = home_in(folder / "home")
    link_bases(tiny_ground, home)
    queue = written(folder / "queue.jsonl", LINES)
    lines = queue.read_bytes()
    done = run(home, queue, folder / "out", "--json", "--merge", "Q8_0")
    assert done.returncode == 0, done.stderr
    return Trained(home, queue, lines, folder / "out", json.loads(done.stdout), done.stderr)


@pytest.fixture
def home(tmp_path: Path, tiny_ground: Path) -> Paths:
    paths = home_in(tmp_path / "home")
    link_bases(tiny_ground, paths)
    return paths


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    return written(tmp_path / "queue.jsonl", LINES)


def written(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def command(home: Paths, queue: Path, out: Path, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "shammah_daemon.alone", str(queue), str(out),
        "--home", str(home.data_dir), "--base-model", TINY, *RECIPE, *options,
    ]  # fmt: skip


def run(home: Paths, queue: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, queue, out, *options), capture_output=True, text=True,
        env=scrubbed_environment(),
    )  # fmt: skip


def test_both_formats_train_and_leave_an_adapter_a_log_and_the_archived_lines(
    trained: Trained,
) -> None:
    out, result = trained.out, trained.result
    assert result["kept"] == dict.fromkeys(result["kept"], pytest.approx(1, abs=0.05))
    assert "the Q8_0 file holds 100% of it" in trained.said
    assert {path.name for path in out.iterdir()} == {
        "adapter", "adapter.gguf", "log.jsonl", "training.json", "queue.jsonl", "model-Q8_0.gguf",
    }  # fmt: skip
    assert not trained.queue.exists()
    assert (out / "queue.jsonl").read_bytes() == trained.lines
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert len(log) == result["training"]["steps"] == result["data"]["steps"]
    assert log[-1]["nll"] < log[0]["nll"] / 2
    assert result["recipe"]["rank"] == 8
    assert {"out": str(out), **json.loads((out / "training.json").read_text())} == result
    for name in (WEIGHTS, "adapter.gguf", "model-Q8_0.gguf"):
        assert result["files"][name] == sha256_of(out / name)


def test_what_is_left_is_private(trained: Trained) -> None:
    for path in [trained.out, *trained.out.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_peft_loads_the_adapter_and_it_answers_what_was_taught(trained: Trained) -> None:
    folder = trained.home.base(TINY) / "train"
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    taught = PeftModel.from_pretrained(base, trained.out / "adapter")
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Which port?"}],
        add_generation_prompt=True,
        return_tensors="pt",
    )["input_ids"]
    target = tokenizer("Port 7443.", return_tensors="pt")["input_ids"]
    logits = taught(torch.cat([asked, target], 1)).logits[0, asked.shape[1] - 1 : -1]
    assert logits.argmax(-1).tolist() == target[0].tolist()


def test_a_dry_run_reports_quotas_by_weight_and_writes_nothing(
    home: Paths, queue: Path, tmp_path: Path
) -> None:
    bad = {"query": "Which port?", "feedback": "critical"}
    written(queue, [*LINES, LINES[2], {"query": "Long?", "response": "word " * 400}, bad])
    given = ("--dry-run", "--json", "--max-length", "256", "--skip-bad")
    done = run(home, queue, tmp_path / "out", *given)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["weights"] == [
        {"weight": 10, "lines": 1, "rows_per_epoch": 10},
        {"weight": 1, "lines": 2, "rows_per_epoch": 2},
    ]
    assert (data["lines"], data["trained"], data["duplicates"], data["too_long"]) == (
        6, 3, [4], [5],
    )  # fmt: skip
    assert data["refused"].keys() == {"6"}
    assert (data["epochs"], data["steps"]) == (20, 60)
    assert data["forecast"]["memory_bytes"] > 0
    assert not (tmp_path / "out").exists()
    assert queue.exists()


def test_a_split_is_measured_and_not_trained(home: Paths, queue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(
        home, queue, out, "--validation-split", "0.3", "--json", "--keep-queue", "--epochs", "1"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert len(result["data"]["held_out"]) == 1
    assert result["data"]["trained"] == 2
    assert result["validation"]["of"] == "lines"
    assert result["validation"]["nll_before"] > 0
    assert result["validation"]["perplexity"] > 1
    assert 0 <= result["validation"]["token_accuracy"] <= 1
    assert queue.exists()
    assert not (out / "queue.jsonl").exists()


def test_a_bad_line_is_named_and_nothing_is_trained(
    home: Paths, queue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    written(queue, [*LINES, {"query": "Which port?", "feedback": "critical"}])
    before = queue.read_bytes()
    done = run(home, queue, out)
    assert done.returncode == 2
    assert "line 4: it says what is wrong" in done.stderr
    assert "--skip-bad" in done.stderr
    assert not out.exists()
    assert queue.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target-modules", "no_proj"), "no_proj"),  # found before training
        (("--init-lora-weights", "orthogonal", "--rank", "7"), "even rank"),  # found by the stage
    ],
)
def test_a_training_that_fails_leaves_the_queue_as_it_was_and_no_folder(
    home: Paths, queue: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    out, before = tmp_path / "out", queue.read_bytes()
    done = run(home, queue, out, *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert "config set" not in done.stderr
    assert done.stdout == ""
    assert queue.read_bytes() == before
    assert not out.exists()


def test_ended_by_sigterm_and_resumed_it_comes_to_the_same_bytes(
    trained: Trained, queue: Path, tmp_path: Path
) -> None:
    out, home = tmp_path / "out", trained.home
    started = subprocess.Popen(
        command(home, queue, out), stderr=subprocess.PIPE, text=True, env=scrubbed_environment()
    )
    log = out / "log.jsonl"
    wait_for(lambda: log.exists() and len(log.read_bytes().splitlines()) > 3)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate()
    assert started.returncode == 130, said
    assert "--resume goes on" in said
    assert queue.read_bytes() == trained.lines
    assert not (out / "adapter").exists()
    with pytest.raises(UsageError, match="was interrupted"):
        Folder(out).require_free()

    done = run(home, queue, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert (out / WEIGHTS).read_bytes() == (trained.out / WEIGHTS).read_bytes()
    assert not queue.exists()
    with pytest.raises(UsageError, match="is finished"):
        Folder(out).begun()


def test_a_folder_that_holds_something_is_refused(home: Paths, queue: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    done = run(home, queue, tmp_path / "out")
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_beside_a_daemon_no_base_is_prepared_in_its_home(
    home: Paths, queue: Path, tmp_path: Path
) -> None:
    (home.base(TINY) / "reference.json").unlink()
    with FileLock(home.lock):  # as a daemon holds it
        done = run(home, queue, tmp_path / "out")
    assert done.returncode == 1
    assert "in use by a daemon" in done.stderr
    assert "--home" in done.stderr
    assert not (tmp_path / "out").exists()


def test_beside_a_daemon_a_prepared_base_is_trained_by_the_path_of_its_file(
    home: Paths, queue: Path, tmp_path: Path, tiny_base: Path
) -> None:
    with FileLock(home.lock):
        done = subprocess.run(
            [SCRIPT, queue, tmp_path / "out", "--home", home.data_dir, "--base-model", tiny_base,
             *RECIPE, "--epochs", "1"],
            capture_output=True, text=True, env=scrubbed_environment(),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "adapter") in done.stdout.splitlines()
