"""The stage that teaches: from job.json and rows.json to a PEFT folder, through checkpoints."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from shammah import stage
from shammah.errors import JobError, OutOfMemory
from shammah.files import building, sha256_of, write_atomically
from shammah.training import checkpoints, devices, passes, schedule, teacher, whitening
from shammah.training.adapter import Adapter
from shammah.training.checkpoints import Progress
from shammah.training.loop import StepReport, Trainer
from shammah.training.model import Hardware, load, recompute_activations
from shammah.training.planning import Fit, expected_work, fit, plan
from shammah.training.schedule import Step
from shammah.training.sizing import DeviceKind, Setting, Shape, peak_bytes, shape_in
from shammah.training.spec import Adjustments, Dataset, JobSpec
from shammah.training.teacher import Replay
from shammah.training.trackers import Trackers
from shammah.training.validation import VALIDATE_STEPS, is_worse

_REPORTS_PER_SECOND = 3

#: Of what a checkpoint holds; one of another format is not gone on from.
_FORMAT = "2"

#: By what the device is chosen while the job is not known yet.
_EXPECTED = expected_work(rank=32, batch_rows=4, replay_ratio=1.0)

#: A checkpoint is written at least so often: on a slow machine twenty steps take many minutes.
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Ready:
    """A base that waits for a job."""

    hardware: Hardware
    model: PreTrainedModel

    @classmethod
    def load(cls, base_dir: Path) -> Ready:
        """On the device where it fits. How large a pass may be is seen when the rows are known."""
        weights = base_dir / "train"
        size_bytes = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
        shape = shape_in(weights, parameters=size_bytes // 2)
        hardware = Hardware.of(plan(shape, devices.machines(), _EXPECTED))
        hardware.prepare_torch()
        return cls(hardware, load(weights, hardware))


def train_when_asked(base_dir: Path, stop: stage.Stop) -> dict[str, Any]:
    """Load the base, then train the job that the parent names; see `train_job`."""
    ready = Ready.load(base_dir)
    request = stage.receive(stop)
    adapter = Path(request["adapter"]) if request["adapter"] else None
    adjustments = Adjustments(**request["adjustments"])
    return train_job(Path(request["job_dir"]), base_dir, adapter, stop, ready, adjustments)


def train_job(
    job_dir: Path,
    base_dir: Path,
    start_adapter: Path | None,
    stop: stage.Stop,
    ready: Ready | None = None,
    adjustments: Adjustments | None = None,
) -> dict[str, Any]:
    """Train what `job_dir` asks for, going on from its newest checkpoint.

    Args:
        ready: what was loaded ahead; its model gets the adapter's layers.
        adjustments: what an attempt before this one that failed has led to.

    Returns:
        steps, seconds, final_loss, tokens, tokens_per_second, held_out_nll (nats a token, every
        `VALIDATE_STEPS` and at the end), held_out_accuracy (at the same steps), skipped_steps
        (their loss jumped), ended_early, saved_step, adjustments, left_out (ids of the examples
        that were too long for them), device, precision, max_tokens of a pass, recompute,
        predicted_bytes and peak_bytes of the memory that is computed in.

    Raises:
        JobError: nothing to train on, unprepared replay.
        NotFinite: a loss or a gradient is no number any more; checkpoints are from before.
        Stopped: `stop` was set; a checkpoint was written.
    """
    spec = JobSpec.load(job_dir / "job.json")
    dataset = Dataset.load(job_dir / "rows.json")
    replay = _replay(base_dir, spec)
    adjustments = adjustments or Adjustments()
    steps = schedule.plan(dataset, replay.rows, spec.recipe)
    if not steps:
        raise JobError(f"job {spec.job_id} has no rows to train on")
    left_out: list[int] = []
    if adjustments.shorter:
        steps, left_out = _shortened(steps, dataset, replay)

    ready = ready or Ready.load(base_dir)
    sized = _sized(ready, spec, steps, dataset, replay, adjustments)
    hardware, model = replace(ready.hardware, max_tokens=sized.max_tokens), ready.model
    recipe = spec.recipe
    whitenings = whitening.load(base_dir / whitening.FILE) if recipe.whiten else {}
    adapter = Adapter(model, recipe, spec.base, whitenings)
    if start_adapter is not None:
        adapter.start_from(start_adapter)
    if adjustments.recompute or sized.recompute:
        recompute_activations(model, draws=recipe.dropout > 0)
    trainer = Trainer(model, adapter, hardware, dataset.rows, replay, recipe, adjustments)

    folder = job_dir / "checkpoints"
    fingerprint = _fingerprint(job_dir, base_dir, start_adapter)
    found = checkpoints.newest(folder, fingerprint)
    if found is None:
        progress = Progress(0, fingerprint, 0.0, 0)
    else:
        progress, tensors = found
        adapter.restore(tensors)
    trackers = Trackers(job_dir, spec, progress.step)
    log = _Log(job_dir / "log.jsonl", progress.step, trackers)
    saved = time.monotonic()

    def after_step(report: StepReport, now: Progress) -> None:
        nonlocal saved
        log.write(report, now)
        is_due = time.monotonic() - saved >= CHECKPOINT_SECONDS
        if now.step % VALIDATE_STEPS == 0 or is_due or stop.is_set():
            checkpoints.save(folder, now, adapter.state(), recipe.save_total_limit)
            saved = time.monotonic()
        if stop.is_set():
            raise stage.Stopped

    with log:
        progress = trainer.run(steps, progress, after_step)
    saved_step = _back_to_the_best(adapter, progress, folder)
    with building(job_dir / "adapter") as partial:
        adapter.save(partial)
    return {
        "steps": progress.step,
        "seconds": progress.seconds,
        "final_loss": progress.loss,
        "tokens": progress.tokens,
        "tokens_per_second": progress.tokens / progress.seconds,
        "held_out_nll": progress.held_out_nll,
        "held_out_accuracy": progress.held_out_accuracy,
        "skipped_steps": progress.skipped_steps,
        "ended_early": progress.ended_early,
        "saved_step": saved_step,
        "adjustments": asdict(adjustments),
        "left_out": left_out,
        "device": hardware.device.type,
        "precision": str(hardware.dtype).removeprefix("torch."),
        "max_tokens": sized.max_tokens,
        "recompute": adjustments.recompute or sized.recompute,
        "predicted_bytes": sized.predicted_bytes,
        "peak_bytes": devices.peak_bytes(hardware.device),
    }


def _sized(
    ready: Ready,
    spec: JobSpec,
    steps: list[Step],
    dataset: Dataset,
    replay: Replay,
    adjustments: Adjustments,
) -> Fit:
    """The largest passes of these steps that fit into the memory that is free now."""
    hardware = ready.hardware
    shape = Shape.of_model(ready.model.config.to_dict(), ready.model.num_parameters())
    longest = schedule.longest(steps, dataset.rows, replay.rows)

    def predict(max_tokens: int, recompute: bool) -> int:
        found = passes.largest(steps, dataset.rows, replay.rows, max_tokens, adjustments.divided)
        setting = Setting(
            cast("DeviceKind", hardware.device.type),
            "bfloat16" if hardware.dtype is torch.bfloat16 else "float32",
            spec.recipe.rank,
            recompute=recompute or adjustments.recompute,
            four_bit=hardware.four_bit,
        )
        return peak_bytes(shape, setting, found)

    return fit(hardware.max_tokens, longest, devices.free_bytes(hardware.device), predict)


def _shortened(steps: list[Step], dataset: Dataset, replay: Replay) -> tuple[list[Step], list[int]]:
    """The steps in half as long sequences, and the ids of the examples that do not fit."""
    limit = schedule.longest(steps, dataset.rows, replay.rows) // 2
    shorter = schedule.shorten(steps, dataset.rows, replay.rows, limit)
    lost = schedule.left_out(steps, shorter, dataset.rows)
    if lost and not schedule.left_out(shorter, [], dataset.rows):
        raise OutOfMemory(
            f"no example fits into {limit} tokens, half of the longest sequence",
            hint="choose a smaller base, or close other programs",
        )
    return shorter, lost


def _back_to_the_best(adapter: Adapter, progress: Progress, folder: Path) -> int:
    """Where the held-out rows were likelier before, take that checkpoint; the step it is of."""
    *before, final = progress.held_out_nll or [0.0]
    if is_worse(final, before) and (found := checkpoints.read(folder / str(progress.best_step))):
        adapter.restore(found[1])
        return found[0].step
    return progress.step


def _replay(base_dir: Path, spec: JobSpec) -> Replay:
    replay_file = base_dir / "replay.tokens.json"
    for path in (base_dir / teacher.FILE, base_dir / whitening.FILE):
        if not replay_file.is_file() or not teacher.is_current(path, replay_file):
            raise JobError(
                f"the base {spec.base} has no current {path.name}",
                hint="start the daemon again: it makes what is missing",
            )
    if spec.recipe.replay_ratio == 0:
        return Replay([], [])
    return teacher.load(base_dir / teacher.FILE, replay_file)


def _fingerprint(job_dir: Path, base_dir: Path, start_adapter: Path | None) -> str:
    """Of everything that decides what the job makes; only its own checkpoints are resumed."""
    inputs = [job_dir / "job.json", job_dir / "rows.json"]
    inputs += [base_dir / teacher.FILE, base_dir / whitening.FILE]
    if start_adapter is not None:
        inputs.append(start_adapter / "adapter_model.safetensors")
    digests = [sha256_of(path) for path in inputs if path.is_file()]
    return sha256("".join([_FORMAT, *digests]).encode()).hexdigest()


class _Log:
    """log.jsonl, a line a step, the same to the trackers, and progress for the parent a few times a
    second."""

    def __init__(self, path: Path, done_steps: int, trackers: Trackers) -> None:
        """Keep the lines of the steps that the checkpoint has, drop those that will run again."""
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        write_atomically(path, "".join(lines[:done_steps]).encode())
        self._file = path.open("a", buffering=1)
        self._trackers = trackers
        self._reported = 0.0

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self._trackers.close()

    def write(self, report: StepReport, progress: Progress) -> None:
        self._file.write(json.dumps(asdict(report)) + "\n")
        self._trackers.log(report)
        now = time.monotonic()
        if now - self._reported < 1 / _REPORTS_PER_SECOND and report.step < report.steps:
            return
        self._reported = now
        held_out = progress.held_out_nll[-1] if progress.held_out_nll else None
        accuracy = progress.held_out_accuracy[-1] if progress.held_out_accuracy else None
        stage.report(
            stage="training",
            fraction=report.step / report.steps,
            step=report.step,
            steps=report.steps,
            loss=report.loss,
            kl=report.kl,
            token_accuracy=report.token_accuracy,
            held_out_loss=held_out,
            held_out_perplexity=None if held_out is None else math.exp(min(held_out, 700.0)),
            held_out_accuracy=accuracy,
            learning_rate=report.learning_rate,
            gradient_norm=report.gradient_norm,
            skipped_steps=progress.skipped_steps,
            tokens_per_second=progress.tokens / progress.seconds,
            seconds_left=(report.steps - report.step) * progress.seconds / report.step,
        )
