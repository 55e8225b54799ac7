"""What went wrong in a job, and what is changed before it is tried again. Pure.

A remedy changes how a stage computes, hardly ever what: see `training.spec.Adjustments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shammah.errors import (
    BaseModelError,
    Conflict,
    DiskFull,
    EngineCrashed,
    JobError,
    NotFinite,
    NotFound,
    OutOfMemory,
    ShammahError,
    StorageError,
    UsageError,
)
from shammah.records import JobState, Tried
from shammah.training.spec import Adjustments
from shammah_daemon.stages import ChildKilled


class Failure(StrEnum):
    """Why an attempt ended."""

    OUT_OF_MEMORY = "out of memory"
    DISK_FULL = "disk full"
    IO_ERROR = "disk error"
    BAD_DATA = "bad data"
    NOT_FINITE = "not a number"
    LOST_GPU = "lost GPU"
    KILLED = "killed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Remedy:
    """What is changed, as `Adjustments`, and in words; nothing is changed by an empty one."""

    change: dict[str, Any]
    said: str


#: How torch, safetensors and Python say it: such errors cross a process as text. In this order.
_TEXTS = {
    Failure.OUT_OF_MEMORY: (
        "out of memory", "outofmemoryerror", "memoryerror", "can't allocate memory",
        "cannot allocate memory", "not enough memory", "bad_alloc", "failed to map segment",
    ),
    Failure.DISK_FULL: ("no space left on device", "disk quota exceeded"),
    Failure.IO_ERROR: ("input/output error",),
    Failure.LOST_GPU: (
        "cuda error", "no cuda gpus are available", "cuda-capable device", "gpu is lost", "nvml",
        "cublas_status", "cudnn_status",
    ),
}  # fmt: skip

#: Errors that are stated about what the user gave: the same again would end the same.
_STATED = (JobError, BaseModelError, UsageError, NotFound, Conflict)

_AS_IT_WAS = Remedy({}, "tried again from its newest checkpoint")

#: What is changed from one attempt to the next. Where there is nothing left, the job has failed.
_LADDERS: dict[Failure, tuple[Remedy, ...]] = {
    Failure.OUT_OF_MEMORY: (
        Remedy({"divided": 2}, "half as many rows in one pass, as many in a step as before"),
        Remedy({"recompute": True}, "activations computed again instead of kept"),
        Remedy({"shorter": True}, "sequences of at most half the length"),
    ),
    Failure.NOT_FINITE: (
        Remedy({"rate": 0.5}, "half the learning rate from the last good checkpoint"),
        Remedy({"rate": 0.25}, "a quarter of the learning rate from the last good checkpoint"),
    ),
    Failure.LOST_GPU: (Remedy({}, "started anew on the device that there is"),) * 2,
    Failure.KILLED: (_AS_IT_WAS,) * 2,
    Failure.IO_ERROR: (_AS_IT_WAS,) * 2,
    Failure.UNKNOWN: (_AS_IT_WAS,),
}

#: What the user can do when nothing has helped.
ADVICE = {
    Failure.OUT_OF_MEMORY: "close other programs, or use a smaller base ('shammah model list')",
    Failure.IO_ERROR: "check the disk; the active version keeps serving",
    Failure.BAD_DATA: "'shammah examples list' shows what is taught",
    Failure.NOT_FINITE: "lower training.learning_rate with 'shammah config set'",
    Failure.LOST_GPU: "check the GPU's driver ('nvidia-smi'), then 'shammah train'",
    Failure.KILLED: "logs/stages.err may say more; 'shammah train' tries again",
    Failure.UNKNOWN: "logs/stages.err has the traceback; 'shammah train' tries again",
}


def classify(error: ShammahError) -> Failure:
    """What kind of failure an error is that ended an attempt."""
    said = error.message.lower()
    match error:
        case DiskFull():
            return Failure.DISK_FULL
        case StorageError():
            return Failure.IO_ERROR
        case NotFinite():
            return Failure.NOT_FINITE
        case OutOfMemory():
            return Failure.OUT_OF_MEMORY
        case ChildKilled(short_of_memory=True):
            return Failure.OUT_OF_MEMORY
        case ChildKilled() | EngineCrashed():
            return Failure.KILLED
    for failure, words in _TEXTS.items():
        if any(word in said for word in words):
            return failure
    return Failure.BAD_DATA if isinstance(error, _STATED) else Failure.UNKNOWN


def remedy(failure: Failure, stage: JobState, tried: Sequence[Tried]) -> Remedy | None:
    """What to change before the stage is tried again; None when enough was tried.

    A full disk has none: the job waits for space, and that is no attempt. Only training has a
    choice of how much memory it takes; other stages are tried again as they were.

    Args:
        tried: what was tried before in this job; only what failed alike in this stage counts.
    """
    before = sum(item.failure == failure and item.stage is stage for item in tried)
    if failure is Failure.OUT_OF_MEMORY and stage is not JobState.TRAINING:
        failure = Failure.KILLED
    ladder = _LADDERS.get(failure, ())
    return ladder[before] if before < len(ladder) else None


def adjustments(tried: Sequence[Tried]) -> Adjustments:
    """How the next attempt trains: all that was changed so far."""
    changed: dict[str, Any] = {}
    for item in tried:
        changed |= item.change
    return Adjustments(**changed)
