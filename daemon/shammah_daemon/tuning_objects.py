"""The objects of OpenAI's fine-tuning API, and what of Shammah's stands behind each field.

Pure; knows no store and no HTTP. Shapes: https://platform.openai.com/docs/api-reference/fine-tuning
"""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shammah.errors import NotFound, UsageError
from shammah.options import Manner
from shammah.records import Job, JobEvent, JobState, Mode, Tuning, Upload
from shammah.training.saved import Saved
from shammah_daemon.outcome import summary_of

#: What may be taught: going on from the version that answers, or from the pristine base.
MODES = {"shammah": Mode.QUICK, "base": Mode.CONSOLIDATE}

#: What OpenAI's hyperparameters are called in the settings' [training].
OPTIONS = {
    "n_epochs": "epochs",
    "batch_size": "batch_rows",
    "learning_rate_multiplier": "learning_rate",
}

Status = Literal[
    "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
]

STATUSES: dict[JobState, Status] = {
    JobState.QUEUED: "queued",
    JobState.PREPARING: "validating_files",
    JobState.TRAINING: "running",
    JobState.MERGING: "running",
    JobState.QUANTIZING: "running",
    JobState.JUDGING: "running",
    JobState.PAUSED: "paused",
    JobState.PROMOTED: "succeeded",
    JobState.REJECTED: "failed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}

Hyperparameter = int | float | Literal["auto"]

AUTO: dict[str, Hyperparameter] = dict.fromkeys(OPTIONS, "auto")

Item = TypeVar("Item", bound=BaseModel)


class Page(BaseModel, Generic[Item]):
    """A list of OpenAI's; `after` the last id gives the next one."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool
    first_id: str | None
    last_id: str | None


class FileObject(BaseModel):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["fine-tune"] = "fine-tune"
    status: Literal["processed"] = "processed"
    status_details: None = None
    expires_at: None = None


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class AskedSupervised(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hyperparameters: dict[str, Any] = {}


class AskedMethod(BaseModel):
    """How to teach. The others are known in order to be refused with the way out."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: AskedSupervised = AskedSupervised()
    dpo: dict[str, Any] = {}
    reinforcement: dict[str, Any] = {}


Label = Annotated[str, StringConstraints(max_length=64)]
Labelled = Annotated[str, StringConstraints(max_length=512)]


class TuningRequest(BaseModel):
    """POST /v1/fine_tuning/jobs."""

    model_config = ConfigDict(extra="forbid")

    model: str
    training_file: str
    hyperparameters: dict[str, Any] | None = None
    method: AskedMethod = AskedMethod(type="supervised")
    seed: int | None = None
    suffix: str | None = Field(None, min_length=1, max_length=64)
    metadata: dict[Label, Labelled] | None = Field(None, max_length=16)
    validation_file: str | None = None
    integrations: list[dict[str, Any]] | None = None

    @property
    def digest(self) -> str:
        """The same for the same request."""
        return sha256(self.model_dump_json().encode()).hexdigest()

    def check(self) -> Mode:
        """The mode of the lesson that is asked for.

        Raises:
            UsageError: an option that no lesson takes, with the way out.
        """
        if problem := self._problem():
            raise UsageError(problem)
        return MODES[self.model]

    @property
    def manner(self) -> Manner:
        """How it is to train. Raises UsageError: a hyperparameter that no lesson takes."""
        given = (self.hyperparameters or {}) | self.method.supervised.hyperparameters
        options = {OPTIONS[name]: value for name, value in _asked(given).items()}
        if self.seed is not None:
            options["seed"] = self.seed
        return Manner(options=options)

    def _problem(self) -> str:
        """The way out is in the message: the SDK shows no more of an error."""
        if self.model not in MODES:
            return (
                f"the model {self.model!r} cannot be taught here: 'shammah' goes on from the "
                "version that answers, 'base' begins anew"
            )
        if self.method.type != "supervised":
            return (
                f"the method {self.method.type!r} is not offered, leave it out: preferred answers "
                "are taught, and the gate checks that they are likelier than the rejected ones"
            )
        if self.validation_file:
            return "a validation file is not used: the gate asks in wordings that are held out"
        if self.integrations:
            return "nothing is sent to other services: leave integrations out"
        return ""


class JobFailure(BaseModel):
    code: Literal["rejected_by_gate", "job_failed"]
    message: str
    param: None = None


class Supervised(BaseModel):
    hyperparameters: dict[str, Hyperparameter] = AUTO


class SupervisedMethod(BaseModel):
    type: Literal["supervised"] = "supervised"
    supervised: Supervised = Supervised()


class LessonInfo(BaseModel):
    """What Shammah adds: its own job, and what the file added to the examples."""

    job_id: int
    state: JobState
    summary: str
    added: int | None = None
    duplicates: int | None = None
    held: int | None = None  # of those that were added: they wait for the user's word


class JobObject(BaseModel):
    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    status: Status
    error: JobFailure | None
    model: str
    fine_tuned_model: str | None
    organization_id: str = "local"
    training_file: str  # empty: no file began this lesson
    validation_file: None = None
    result_files: list[str] = []
    hyperparameters: dict[str, Hyperparameter] = AUTO
    method: SupervisedMethod = SupervisedMethod()
    seed: int
    trained_tokens: int | None
    estimated_finish: None = None
    integrations: list[str] = []
    metadata: dict[str, str] | None
    user_provided_suffix: str | None
    shammah: LessonInfo


class EventObject(BaseModel):
    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any]


class CheckpointMetrics(BaseModel):
    step: int
    train_loss: float | None
    valid_loss: float | None


class CheckpointObject(BaseModel):
    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuning_job_id: str
    fine_tuned_model_checkpoint: str  # a name only: no gate has judged it, so it cannot be asked
    step_number: int
    metrics: CheckpointMetrics


def file_object(upload: Upload) -> FileObject:
    return FileObject(
        id=upload.id,
        bytes=upload.size_bytes,
        created_at=_seconds(upload.created_at),
        filename=upload.filename,
    )


def job_object(job: Job, tuning: Tuning | None, trained_tokens: int | None, seed: int) -> JobObject:
    """A job as what was asked of it; one that nobody asked for in OpenAI's words has no file."""
    succeeded = job.state is JobState.PROMOTED
    taken = {name: job.options.get(option, "auto") for name, option in OPTIONS.items()}
    return JobObject(
        id=job_name(job.id),
        created_at=_seconds(job.created_at),
        finished_at=_seconds(job.finished_at) if job.finished_at else None,
        status=STATUSES[job.state],
        error=_failure(job),
        model=tuning.model if tuning else "shammah" if job.mode is Mode.QUICK else "base",
        fine_tuned_model=f"shammah@{job.version}" if succeeded else None,
        training_file=tuning.upload_id if tuning else "",
        hyperparameters=taken,
        method=SupervisedMethod(supervised=Supervised(hyperparameters=taken)),
        seed=job.options.get("seed", seed),
        trained_tokens=trained_tokens if job.state.is_final else None,
        metadata=tuning.metadata if tuning else None,
        user_provided_suffix=tuning.suffix if tuning else None,
        shammah=LessonInfo(
            job_id=job.id,
            state=job.state,
            summary=summary_of(job),
            added=tuning.added if tuning else None,
            duplicates=tuning.duplicates if tuning else None,
            held=tuning.held if tuning else None,
        ),
    )


def event_object(event: JobEvent) -> EventObject:
    """A change of state as a message, a training step as metrics."""
    data = event.data
    if event.kind == "state":
        state = JobState(data["state"])
        message = data.get("summary") or f"The job is {state}."
        failed = STATUSES[state] == "failed"
        shown = {"state": state, "version": data.get("version")}
    else:
        failed = False
        message = f"Step {data['step']}/{data['steps']}: training loss={data['loss']:.4f}"
        shown = {
            "step": data["step"],
            "total_steps": data["steps"],
            "train_loss": data["loss"],
            "tokens_per_second": data.get("tokens_per_second"),
        }
    return EventObject(
        id=f"ftevent-{event.id}",
        created_at=_seconds(event.at),
        level="error" if failed else "info",
        message=message,
        type="message" if event.kind == "state" else "metrics",
        data=shown,
    )


def checkpoint_object(job_id: int, saved: Saved) -> CheckpointObject:
    return CheckpointObject(
        id=f"ftckpt-{job_id}-{saved.step}",
        created_at=int(saved.saved_at),
        fine_tuning_job_id=job_name(job_id),
        fine_tuned_model_checkpoint=f"{job_name(job_id)}:ckpt-step-{saved.step}",
        step_number=saved.step,
        metrics=CheckpointMetrics(
            step=saved.step, train_loss=saved.loss, valid_loss=saved.held_out_nll
        ),
    )


def job_name(job_id: int) -> str:
    return f"ftjob-{job_id}"


def number_in(name: str, kind: Literal["ftjob", "ftevent"]) -> int:
    """The number in `ftjob-7`. Raises NotFound where it is no such name."""
    found = re.fullmatch(rf"{kind}-([1-9]\d{{0,14}})", name, re.ASCII)
    if found is None:
        raise NotFound(f"there is no {name!r}", hint="GET /v1/fine_tuning/jobs lists the jobs")
    return int(found[1])


def page_of(items: list[Item], limit: int) -> Page[Item]:
    """A page of at most `limit`, of items with ids; one more says that there are more."""
    shown = items[:limit]
    ids = [item.id for item in shown]  # type: ignore[attr-defined]
    return Page(
        data=shown,
        has_more=len(items) > limit,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
    )


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """Those that are not left to the settings."""
    for name, value in given.items():
        if name not in OPTIONS:
            raise UsageError(f"unknown hyperparameter {name!r}; known: {', '.join(OPTIONS)}")
        if name == "learning_rate_multiplier" and value != "auto":
            raise UsageError(
                f"{name} is always 'auto': the rate follows the base's size, or "
                "'shammah config set training.learning_rate VALUE'"
            )
    return {name: value for name, value in given.items() if value != "auto"}


def _failure(job: Job) -> JobFailure | None:
    if job.state is JobState.REJECTED:
        return JobFailure(code="rejected_by_gate", message=summary_of(job))
    if job.state is JobState.FAILED:
        parts = (job.error, job.hint)
        return JobFailure(code="job_failed", message="; ".join(part for part in parts if part))
    return None


def _seconds(at: str) -> int:
    """ISO 8601 as seconds since the epoch."""
    return int(datetime.fromisoformat(at).timestamp())
