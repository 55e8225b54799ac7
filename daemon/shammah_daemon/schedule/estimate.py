"""How long a lesson will take and what it will cost, before it begins. Pure.

Where a lesson on the same base has ended here, its pace counts. Else the figures are a guess, and
say so: they scale what was measured on the embedded base (docs/benchmarks.md) to the base's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shammah.config import LearningConfig, MachineConfig
from shammah.feedback.rehearsal import extent
from shammah.options import TrainingConfig, least_rows
from shammah.records import Mode
from shammah.training.planning import Plan
from shammah.training.sizing import Shape
from shammah_daemon.lesson import share_of_replay

#: A token of English, and what a chat template puts around a question.
TOKEN_CHARACTERS, TEMPLATE_TOKENS = 4.0, 40

#: Of a replay row, prompt and target.
REPLAY_TOKENS = 75

#: Arithmetic that training reaches, in operations a second: a guess by kind of device and whether
#: it multiplies bfloat16. Measured was the first: 650 tokens/s of the embedded base on two cores.
RATES: Mapping[tuple[str, bool], float] = {
    ("cpu", True): 0.35e12,
    ("cpu", False): 0.1e12,
    ("mps", True): 2e12,
    ("mps", False): 1e12,
    ("cuda", True): 40e12,
    ("cuda", False): 8e12,
}

#: Forward, and backward to the inputs alone: the base's weights get no gradient.
OPERATIONS_A_PARAMETER = 4

#: Seconds a parameter of the base to merge and quantize it, and to judge one example; seconds to
#: prepare a lesson and to load the base for it.
PUBLISH_SECONDS, JUDGE_SECONDS, PREPARE_SECONDS = 15e-9, 6.5e-9, 4.0


@dataclass(frozen=True)
class Pace:
    """How fast the newest lesson on the same base was."""

    job_id: int
    tokens_per_second: float
    other_seconds: float  # of all stages but training


@dataclass(frozen=True)
class Estimate:
    """What a lesson will take, or took."""

    seconds: float
    training_seconds: float
    memory_bytes: int
    disk_bytes: int
    tokens: int  # that training computes
    basis: str  # what the times are taken from
    kwh: float | None = None  # where the user has said what the machine draws
    cost: float | None = None  # and what that costs


def estimate(
    shape: Shape,
    plan: Plan,
    disk_bytes: int,
    tokens: int,
    examples: int,
    pace: Pace | None,
    machine: MachineConfig,
) -> Estimate:
    """What a lesson of so many tokens and judged examples will take on the planned machine."""
    if pace:
        training, others = tokens / pace.tokens_per_second, pace.other_seconds
        basis = f"the pace of job {pace.job_id}"
    else:
        rate = RATES[plan.setting.device, plan.setting.precision == "bfloat16"]
        training = tokens * OPERATIONS_A_PARAMETER * shape.parameters / rate
        others = PREPARE_SECONDS + shape.parameters * (PUBLISH_SECONDS + JUDGE_SECONDS * examples)
        basis = "a guess: no lesson on this base has ended here"
    seconds = training + others
    kwh, cost = energy(seconds, machine)
    return Estimate(
        seconds=seconds,
        training_seconds=training,
        memory_bytes=plan.predicted_bytes,
        disk_bytes=disk_bytes,
        tokens=tokens,
        basis=basis,
        kwh=kwh,
        cost=cost,
    )


def energy(seconds: float, machine: MachineConfig) -> tuple[float | None, float | None]:
    """Kilowatt-hours and their price, as far as the user has said what goes into them."""
    if not machine.watts:
        return None, None
    kwh = seconds * machine.watts / 3.6e6
    return kwh, kwh * machine.price_per_kwh if machine.price_per_kwh else None


def tokens_of(
    examples: int,
    characters: int,
    new: int,
    mode: Mode,
    learning: LearningConfig,
    training: TrainingConfig,
) -> int:
    """About how many tokens a lesson on these examples trains on, replay included.

    Args:
        examples: all that are ready. They are asked bare; see docs/architecture.md.
        characters: of their questions and targets.
        new: how many of them no version has learned: a quick lesson trains on those, and on a
            sample of the others.
    """
    if not examples:
        return 0
    row = TEMPLATE_TOKENS + characters / TOKEN_CHARACTERS / examples
    learned = new if mode is Mode.QUICK else examples
    slots, wanted = learned * learning.repeats, int(learning.quick_sample_tokens / row)
    earlier = examples - learned if wanted else 0
    places = earlier * learning.repeats
    epochs, reviews = extent(slots, places, wanted, training.epochs, least_rows(training))
    rows = epochs * slots + reviews
    trained = learned + min(earlier, reviews)
    replayed = rows * learning.replay_ratio * share_of_replay(trained)
    return round(rows * row + replayed * REPLAY_TOKENS)


def pace_of(job_id: int, took: Mapping[str, Any] | None) -> Pace | None:
    """Of a job that has trained; None of another one."""
    if not took or not took["tokens"] or not took["training_seconds"]:
        return None
    return Pace(
        job_id=job_id,
        tokens_per_second=took["tokens"] / took["training_seconds"],
        other_seconds=took["seconds"] - took["training_seconds"],
    )
