"""The stage that teaches: from job.json and rows.json to a PEFT folder, through checkpoints."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from shammah import stage
from shammah.bases import SKETCH_FILE, sketch
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
from shammah.training.world import ALONE, World

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
    def load(cls, base_dir: Path, world: World = ALONE, *, fsdp: bool = False) -> Ready:
        """On the device where it fits. How large a pass may be is seen when the rows are known.

        Args:
            fsdp: the processes of `world` divide the base among them.
        """
        weights = base_dir / "train"
        size_bytes = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
        shape = shape_in(weights, parameters=size_bytes // 2)
        shards = world.size if fsdp else 1
        hardware = Hardware.of(plan(shape, devices.machines(), _EXPECTED, shards))
        if hardware.device.type == "cuda" and world.size > 1:
            hardware = replace(hardware, device=torch.device("cuda", world.local_rank))
        hardware.prepare_torch(world.local_size)
        return cls(hardware, load(weights, hardware))


def train_when_asked(
    base_dir: Path, stop: stage.Stop, *, launched: bool = False, fsdp: bool = False
) -> dict[str, Any]:
    """Load the base, then train the job that the parent names; see `train_job`.

    Args:
        launched: this is one of several processes.
        fsdp: which divide the base among them.
    """
    world = World.join() if launched else ALONE
    with world.failing_together():
        if world.from_first(fsdp) != fsdp:
            raise JobError(
                f"process {world.rank} of {world.size} does not divide the base as the first does",
                hint="--fsdp must be given on every machine, or on none",
            )
        ready = Ready.load(base_dir, world, fsdp=fsdp)
        request = stage.receive(stop) if world.leads else None
        with stage.waiting(stop):
            request = world.from_first(request)
        assert request is not None
        adapter = Path(request["adapter"]) if request["adapter"] else None
        adjustments = Adjustments(**request["adjustments"])
        folder = Path(request["job_dir"])
        return train_job(folder, base_dir, adapter, stop, ready, adjustments, world)


def train_job(
    job_dir: Path,
    base_dir: Path,
    start_adapter: Path | None,
    stop: stage.Stop,
    ready: Ready | None = None,
    adjustments: Adjustments | None = None,
    world: World = ALONE,
) -> dict[str, Any]:
    """Train what `job_dir` asks for, going on from its newest checkpoint.

    Args:
        ready: what was loaded ahead; its model gets the adapter's layers.
        adjustments: what an attempt before this one that failed has led to.
        world: with whom; all read the same files, rank zero alone writes.

    Returns:
        steps, seconds, final_loss, tokens, tokens_per_second, held_out_nll (nats a token, every
        `VALIDATE_STEPS` and at the end), held_out_accuracy (at the same steps), skipped_steps
        (their loss jumped), ended_early, saved_step, adjustments, left_out (ids of the examples
        that were too long for them), device, precision, max_tokens of a pass, recompute,
        predicted_bytes and peak_bytes of the memory that is computed in; nothing where this is not
        rank zero.

    Raises:
        JobError: nothing to train on, unprepared replay; another process reads other files.
        RankLost: another process is gone.
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
    sized = _sized(ready, spec, steps, dataset, replay, adjustments, world)
    hardware, model = replace(ready.hardware, max_tokens=sized.max_tokens), ready.model
    recipe = spec.recipe
    whitenings = whitening.load(base_dir / whitening.FILE) if recipe.whiten else {}
    adapter = Adapter(model, recipe, spec.base, whitenings, world)
    if start_adapter is not None:
        adapter.start_from(start_adapter)
    if adjustments.recompute or sized.recompute:
        recompute_activations(model, draws=recipe.dropout > 0)
    trainer = Trainer(model, adapter, hardware, dataset.rows, replay, recipe, adjustments, world)

    folder = job_dir / "checkpoints"
    fingerprint = _fingerprint(job_dir, base_dir, start_adapter)
    if world.from_first(fingerprint) != fingerprint:
        raise JobError(
            f"process {world.rank} of {world.size} reads other files than the first in {job_dir}",
            hint="every machine needs the same home folder, at the same place",
        )
    found = world.from_first(checkpoints.newest(folder, fingerprint) if world.leads else None)
    if found is None:
        progress = Progress(0, fingerprint, 0.0, 0)
    else:
        progress, tensors = found
        adapter.restore(tensors)
    records = _Records(job_dir, spec, adapter, progress.step) if world.leads else None

    def after_step(report: StepReport, now: Progress) -> None:
        stops = world.any(stop.is_set())
        if records is not None:
            records.write(report, now, stops)
        if stops:
            world.from_first(None)  # until the checkpoint is written: a launcher ends the others
            raise stage.Stopped

    with records or nullcontext():
        progress = trainer.run(steps, progress, after_step)
    saved_step = _back_to_the_best(adapter, progress, folder) if world.leads else progress.step
    sketches = adapter.sketches() if world.leads or hardware.sharded else {}
    if not world.leads:
        return {}
    sketch.save(job_dir / SKETCH_FILE, sketches)
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
    world: World,
) -> Fit:
    """The largest passes of these steps that fit into the memory that is free now; of a machine's,
    its processes have equal parts."""
    hardware = ready.hardware
    shared = world.local_size if hardware.device.type == "cpu" else 1
    shape = Shape.of_model(ready.model.config.to_dict(), ready.model.num_parameters())
    longest = schedule.longest(steps, dataset.rows, replay.rows)

    device = cast("DeviceKind", hardware.device.type)

    def predict(max_tokens: int, recompute: bool) -> int:
        found = passes.largest(
            steps, dataset.rows, replay.rows, max_tokens, adjustments.divided, device
        )
        setting = Setting(
            device,
            "bfloat16" if hardware.dtype is torch.bfloat16 else "float32",
            spec.recipe.rank,
            recompute=recompute or adjustments.recompute,
            four_bit=hardware.four_bit,
            shards=world.size if hardware.sharded else 1,
        )
        return peak_bytes(shape, setting, found)

    return fit(hardware.max_tokens, longest, devices.free_bytes(hardware.device) // shared, predict)


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


class _Records:
    """What is left of each step: checkpoints, log.jsonl with a line a step, the same to the
    trackers, and progress for the parent a few times a second."""

    def __init__(self, job_dir: Path, spec: JobSpec, adapter: Adapter, done_steps: int) -> None:
        """Keep the lines of the steps that the checkpoint has, drop those that will run again."""
        self._trackers = Trackers(job_dir, spec, done_steps)
        path = job_dir / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        write_atomically(path, "".join(lines[:done_steps]).encode())
        self._file = path.open("a", buffering=1)
        self._adapter = adapter
        self._checkpoints = job_dir / "checkpoints"
        self._kept = spec.recipe.save_total_limit
        self._saved = time.monotonic()
        self._reported = 0.0

    def __enter__(self) -> _Records:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self._trackers.close()

    def write(self, report: StepReport, progress: Progress, stops: bool) -> None:
        self._file.write(json.dumps(asdict(report)) + "\n")
        self._trackers.log(report)
        self._tell(report, progress)
        is_due = time.monotonic() - self._saved >= CHECKPOINT_SECONDS
        if progress.step % VALIDATE_STEPS == 0 or is_due or stops:
            checkpoints.save(self._checkpoints, progress, self._adapter.state(), self._kept)
            self._saved = time.monotonic()

    def _tell(self, report: StepReport, progress: Progress) -> None:
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
