"""The stage `train` on a tiny base; in a process of its own where signals are sent to it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from shammah.errors import JobError, NotFinite
from shammah.stage import STOPPED, Stop, Stopped
from shammah.training import teacher, whitening
from shammah.training.model import Hardware, load
from shammah.training.spec import CHILD_ENVIRONMENT, Dataset
from shammah.training.train import Ready, train_job
from shammah.training.validation import VALIDATE_STEPS, best

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

WEIGHTS = "adapter/adapter_model.safetensors"

#: At how many steps a child is ended in the test of that; `scripts/faults` sets it for a long run.
POINTS = int(os.environ.get("SHAMMAH_FAULTS", "1"))


def test_a_job_learns_and_writes_an_adapter_that_peft_loads(base_dir: Path, job_dir: Path) -> None:
    result = train_job(job_dir, base_dir, None, Stop())
    assert result["steps"] == 45
    assert result["tokens_per_second"] > 0
    assert len(result["held_out_nll"]) == 3  # after 20, after 40, at the end
    assert result["final_loss"] < _log(job_dir)[0]["loss"] / 4
    row = Dataset.load(job_dir / "rows.json").rows[0]
    base = AutoModelForCausalLM.from_pretrained(base_dir / "train", dtype=torch.bfloat16)
    taught = PeftModel.from_pretrained(base, job_dir / "adapter")
    logits = taught(torch.tensor([row.prompt + row.target])).logits[0, len(row.prompt) - 1 : -1]
    assert logits.argmax(-1).tolist() == row.target


def test_progress_and_log_say_what_each_step_did(
    base_dir: Path, job_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train_job(job_dir, base_dir, None, Stop())
    progress = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert progress[-1].keys() >= {
        "stage", "fraction", "step", "steps", "loss", "kl", "learning_rate", "gradient_norm",
        "tokens_per_second", "seconds_left",
    }  # fmt: skip
    assert progress[-1]["fraction"] == 1
    assert len(progress) <= 3 * result["seconds"] + 2
    log = _log(job_dir)
    assert [line["step"] for line in log] == list(range(1, 46))
    assert log[-1]["loss"] == result["final_loss"]
    assert all(line["gradient_norm"] > 0 for line in log)


def test_the_log_has_the_held_out_loss_of_the_steps_that_measured_it(
    base_dir: Path, job_dir: Path
) -> None:
    result = train_job(job_dir, base_dir, None, Stop())
    measured = {line["step"]: line["held_out_nll"] for line in _log(job_dir)}
    assert [value for value in measured.values() if value is not None] == result["held_out_nll"]
    assert next(step for step, value in measured.items() if value is not None) == VALIDATE_STEPS


def test_the_same_job_makes_the_same_bytes(base_dir: Path, job_dir: Path) -> None:
    again = shutil.copytree(job_dir, job_dir.with_name("again"))
    for folder in (job_dir, again):
        train_job(folder, base_dir, None, Stop())
    assert (job_dir / WEIGHTS).read_bytes() == (again / WEIGHTS).read_bytes()


def test_a_processor_without_bfloat16_learns_the_same(
    base_dir: Path, job_dir: Path, hardware: Hardware
) -> None:
    half = shutil.copytree(job_dir, job_dir.with_name("half"))
    for folder, dtype in ((job_dir, torch.float32), (half, torch.bfloat16)):
        own = replace(hardware, dtype=dtype)
        train_job(folder, base_dir, None, Stop(), Ready(own, load(base_dir / "train", own)))
    whole, rounded = ([line["loss"] for line in _log(folder)] for folder in (job_dir, half))
    assert whole[:5] == pytest.approx(rounded[:5], rel=0.05)
    assert max(whole[-5:]) < 0.3


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("seed", range(POINTS))
def test_a_job_ended_at_any_step_goes_on_to_the_same_bytes(
    base_dir: Path, job_dir: Path, signal_number: signal.Signals, seed: int
) -> None:
    whole = shutil.copytree(job_dir, job_dir.with_name("whole"))
    train_job(whole, base_dir, None, Stop())
    child = _spawn(job_dir, base_dir)
    at = random.Random(seed).randint(21, 40)
    while not (job_dir / "log.jsonl").is_file() or len(_log(job_dir)) < at:
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal_number)
    child.communicate()
    assert child.returncode == (STOPPED if signal_number == signal.SIGTERM else -signal.SIGKILL)
    assert not (job_dir / WEIGHTS).exists()
    assert any((job_dir / "checkpoints").iterdir())

    output, _ = _spawn(job_dir, base_dir).communicate()
    _started, first, *_, result = map(json.loads, output.splitlines())
    assert first["step"] > 20
    assert (result["kind"], result["steps"]) == ("result", 45)
    assert (job_dir / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert [line["step"] for line in _log(job_dir)] == list(range(1, 46))


def test_a_stop_writes_a_checkpoint_at_once(base_dir: Path, job_dir: Path) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        train_job(job_dir, base_dir, None, stop)
    assert [path.name for path in (job_dir / "checkpoints").iterdir()] == ["1"]


def test_a_checkpoint_of_another_job_is_not_resumed(
    base_dir: Path, job_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_job(job_dir, base_dir, None, Stop())
    dataset = Dataset.load(job_dir / "rows.json")
    Dataset(dataset.rows, dataset.epochs[:2]).save(job_dir / "rows.json")
    capsys.readouterr()
    train_job(job_dir, base_dir, None, Stop())
    assert json.loads(capsys.readouterr().out.splitlines()[0])["step"] == 1


def test_training_goes_on_from_an_adapter(base_dir: Path, job_dir: Path) -> None:
    quick = shutil.copytree(job_dir, job_dir.with_name("quick"))
    train_job(job_dir, base_dir, None, Stop())
    train_job(quick, base_dir, job_dir / "adapter", Stop())
    assert _log(quick)[0]["loss"] < _log(job_dir)[0]["loss"] / 4


def test_an_adapter_of_another_rank_is_refused(base_dir: Path, job_dir: Path) -> None:
    quick = shutil.copytree(job_dir, job_dir.with_name("quick"))
    _change_recipe(quick, rank=8)
    train_job(job_dir, base_dir, None, Stop())
    with pytest.raises(JobError, match=str(job_dir / "adapter")):
        train_job(quick, base_dir, job_dir / "adapter", Stop())


def test_a_loss_that_is_not_finite_fails_the_job(base_dir: Path, job_dir: Path) -> None:
    _change_recipe(job_dir, learning_rate=1e30)
    with pytest.raises(NotFinite, match=r"became (nan|inf)") as raised:
        train_job(job_dir, base_dir, None, Stop())
    assert "learning_rate" in raised.value.hint
    assert not (job_dir / "adapter").exists()


@pytest.mark.parametrize("file", [teacher.FILE, whitening.FILE])
def test_what_an_unprepared_base_lacks_is_named(
    base_dir: Path, job_dir: Path, tmp_path: Path, file: str
) -> None:
    bare = shutil.copytree(base_dir, tmp_path / "bare")
    (bare / file).unlink()
    with pytest.raises(JobError, match=f"tiny.*{file}"):
        train_job(job_dir, bare, None, Stop())


def test_checkpoints_also_come_by_the_clock(
    base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shammah.training.train.CHECKPOINT_SECONDS", 0.0)
    train_job(job_dir, base_dir, None, Stop())
    assert {path.name for path in (job_dir / "checkpoints").iterdir()} >= {"43", "44", "45"}


def test_nothing_in_training_is_drawn_by_chance(base_dir: Path, job_dir: Path) -> None:
    """So a checkpoint needs no state of a random generator."""
    drawn: list[torch.Tensor] = []

    class Watching(Stop):
        def is_set(self) -> bool:
            drawn.append(torch.get_rng_state())
            return False

    train_job(job_dir, base_dir, None, Watching())
    assert len(drawn) == 45
    assert all(torch.equal(state, drawn[0]) for state in drawn)


def _learn_by_heart(job_dir: Path, patience: int) -> None:
    """Held-out rows whose targets are what training teaches to be wrong there."""
    dataset = Dataset.load(job_dir / "rows.json")
    taught = [row for row in dataset.rows if not row.held_out]
    others = [
        replace(row, target=other.target, held_out=True)
        for row, other in zip(taught, [*taught[1:], taught[0]], strict=True)
    ]
    Dataset([*taught, *others], dataset.epochs).save(job_dir / "rows.json")
    _change_recipe(job_dir, patience=patience)


def test_training_ends_where_held_out_rows_get_worse_and_goes_back_to_the_best(
    base_dir: Path, job_dir: Path
) -> None:
    _learn_by_heart(job_dir, patience=1)
    patient = shutil.copytree(job_dir, job_dir.with_name("patient"))
    _change_recipe(patient, patience=0)
    early = train_job(job_dir, base_dir, None, Stop())
    whole = train_job(patient, base_dir, None, Stop())
    assert (early["ended_early"], whole["ended_early"]) == (True, False)
    assert early["steps"] < whole["steps"] == 45
    shared = len(early["held_out_nll"])
    assert early["held_out_nll"] == whole["held_out_nll"][:shared]
    assert early["saved_step"] == 20 * (1 + (best(early["held_out_nll"]) or 0))
    assert early["saved_step"] < early["steps"]
    assert early["saved_step"] == whole["saved_step"]
    assert (job_dir / WEIGHTS).read_bytes() == (patient / WEIGHTS).read_bytes()


def test_training_that_goes_well_is_saved_as_it_ends(base_dir: Path, job_dir: Path) -> None:
    dataset = Dataset.load(job_dir / "rows.json")
    taught = [row for row in dataset.rows if not row.held_out]
    held_out = [replace(row, held_out=True) for row in taught]
    Dataset([*taught, *held_out], dataset.epochs).save(job_dir / "rows.json")
    _change_recipe(job_dir, patience=1)
    result = train_job(job_dir, base_dir, None, Stop())
    assert (result["ended_early"], result["saved_step"], result["steps"]) == (False, 45, 45)
    assert len(result["held_out_nll"]) == 3
    assert result["held_out_nll"][-1] < result["held_out_nll"][0]


def _log(job_dir: Path) -> list[dict[str, float]]:
    """The whole lines of log.jsonl."""
    text = (job_dir / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _change_recipe(job_dir: Path, **changes: float) -> None:
    spec = json.loads((job_dir / "job.json").read_text())
    spec["recipe"] |= changes
    (job_dir / "job.json").write_text(json.dumps(spec))


def _spawn(job_dir: Path, base_dir: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "shammah.training", "train", base_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **CHILD_ENVIRONMENT},
    )
    assert child.stdin
    child.stdin.write(
        json.dumps({"job_dir": str(job_dir), "adapter": None, "adjustments": {}}) + "\n"
    )
    child.stdin.flush()
    return child
