"""Where a training's figures go besides its log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from shammah.errors import JobError
from shammah.stage import Stop
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


def test_the_record_format_is_that_of_the_writer(tmp_path: Path) -> None:
    writer = RecordWriter(str(tmp_path / "events.out.tfevents.1"))
    writer.write(Event(step=7).SerializeToString())
    writer.close()
    assert [event.step for event in events(tmp_path)] == [7]
