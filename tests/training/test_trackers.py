"""Where a training's figures go besides its log."""

from __future__ import annotations

import importlib.util
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from shammah.errors import JobError
from shammah.stage import Stop, child_environment
from shammah.training.trackers import EVENTS
from shammah.training.train import train_job
from tests.training.test_variants import with_recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def events(folder: Path) -> list[Event]:
    """Of all files, in the order in which they were written (TensorFlow's record format: a length,
    its checksum, the record, its checksum)."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_event_files_have_every_figure_of_every_step(base_dir: Path, job_dir: Path) -> None:
    with_recipe(job_dir, report_to=["tensorboard"])
    train_job(job_dir, base_dir, None, Stop())
    log = [json.loads(line) for line in (job_dir / "log.jsonl").read_text().splitlines()]
    scalars = {
        (event.step, value.tag): value.simple_value
        for event in events(job_dir / EVENTS)
        for value in event.summary.value
    }
    for line in log:
        assert scalars[line["step"], "train/loss"] == pytest.approx(line["loss"], rel=1e-5)
    measured = [line["step"] for line in log if line["held_out_nll"] is not None]
    assert [step for step, tag in scalars if tag == "train/held_out_nll"] == measured
    assert {"train/gradient_norm", "train/token_accuracy", "train/learning_rate"} <= {
        tag for _, tag in scalars
    }


def test_a_training_that_tells_nobody_leaves_no_event_files(base_dir: Path, job_dir: Path) -> None:
    train_job(job_dir, base_dir, None, Stop())
    assert not (job_dir / EVENTS).exists()


def test_a_service_whose_package_is_missing_is_named_before_the_first_step(
    base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with_recipe(job_dir, report_to=["wandb"])
    with pytest.raises(JobError, match="its package wandb is not installed"):
        train_job(job_dir, base_dir, None, Stop())
    assert not (job_dir / "log.jsonl").exists()


def test_a_service_that_fails_costs_no_lesson(
    base_dir: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("tensorboardX.SummaryWriter.add_scalar", broken)
    with_recipe(job_dir, report_to=["tensorboard"])
    assert train_job(job_dir, base_dir, None, Stop())["steps"] == 45


@pytest.mark.parametrize("name", ["mlflow", "trackio", "wandb"])
def test_a_service_gets_every_step_under_the_name_of_the_job(
    name: str, base_dir: Path, job_dir: Path, tmp_path: Path
) -> None:
    """Where somebody has installed it; it is none of our packages. In a process as the daemon has
    it: they print, and read their settings when they are imported."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    with_recipe(job_dir, report_to=[name])
    wanted: dict[str, object] = {"job_dir": str(job_dir), "adapter": None, "adjustments": {}}
    done = subprocess.run(
        [sys.executable, "-m", "shammah.training", "train", base_dir],
        input=json.dumps(wanted) + "\n",
        cwd=tmp_path,
        env={
            **child_environment(),
            "HOME": str(tmp_path / "home"),
            "TRACKIO_DIR": str(tmp_path / "trackio"),
            "WANDB_MODE": "offline",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert {json.loads(line)["kind"] for line in done.stdout.splitlines()} == {
        "started", "progress", "result",
    }  # fmt: skip
    assert "a tracker failed" not in done.stderr
    steps = len((job_dir / "log.jsonl").read_text().splitlines())
    assert STORED_BY[name](tmp_path) == ("job-1", steps)
    assert {path.name for path in tmp_path.iterdir()} <= {"job", "home", "trackio"}


def _of_mlflow(folder: Path) -> tuple[str, int]:
    with closing(sqlite3.connect(folder / "job" / "mlflow.db")) as store:
        [[name]] = store.execute("select name from runs")
        [[steps]] = store.execute("select count(step) from metrics where key = 'train/loss'")
        return name, steps


def _of_trackio(folder: Path) -> tuple[str, int]:
    with closing(sqlite3.connect(folder / "trackio" / "shammah.db")) as store:
        [[name, steps]] = store.execute("select run_name, count(step) from metrics group by 1")
        return name, steps


def _of_wandb(folder: Path) -> tuple[str, int]:
    """Its format is its own; a value is there as history and as the newest one."""
    [path] = (folder / "job" / "wandb").glob("offline-run-*/run-*.wandb")
    found = re.findall(rb"job-\d+|train/loss", path.read_bytes())
    return found[0].decode(), found.count(b"train/loss") // 2


STORED_BY = {"mlflow": _of_mlflow, "trackio": _of_trackio, "wandb": _of_wandb}


def test_the_record_format_is_that_of_the_writer(tmp_path: Path) -> None:
    writer = RecordWriter(str(tmp_path / "events.out.tfevents.1"))
    writer.write(Event(step=7).SerializeToString())
    writer.close()
    assert [event.step for event in events(tmp_path)] == [7]
