"""`train`: tokens a second of Shammah's trainer beside TRL's SFTTrainer, on the same rows."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import loop
from benchmarks.daemon import Say, Session, fresh_daemon, wait_until_prepared
from benchmarks.figures import Section, rate, seconds, times
from benchmarks.lessons import Lesson
from shammah.bases.registry import Registry
from shammah.bases.template import ChatTemplate
from shammah.engine.handle import Engine
from shammah.errors import JobError
from shammah.records import Example, ExampleStatus, Job, JobState, Level, Message, Mode
from shammah.training.spec import CHILD_ENVIRONMENT, Dataset, JobSpec
from shammah_daemon import lesson as jobs
from shammah_daemon.choice import Situation

STEPS = 6
#: The first steps pay for memory and kernels; on so few of them that would be a large share.
UNCOUNTED_STEPS = 1
CHILD_SECONDS = 900.0


@dataclass(frozen=True)
class Variant:
    """One way to train the rows."""

    trainer: str
    module: Sequence[str]  # what `python -m` runs
    arguments: Sequence[str]
    keeps_memory: bool  # CHILD_ENVIRONMENT's allocator settings
    replay: bool


SHAMMAH = ("shammah.training", "train")
TRL = ("benchmarks.trl_stage",)
TUNED, DEFAULTS = ("--settings", "tuned"), ("--settings", "defaults")

VARIANTS = (
    Variant("Shammah, as a job runs it", SHAMMAH, (), keeps_memory=True, replay=True),
    Variant("Shammah, no replay", SHAMMAH, (), keeps_memory=True, replay=False),
    Variant("TRL, tuned", TRL, TUNED, keeps_memory=True, replay=False),
    Variant("TRL, its defaults", TRL, DEFAULTS, keeps_memory=True, replay=False),
    Variant("Shammah, no replay", SHAMMAH, (), keeps_memory=False, replay=False),
    Variant("TRL, tuned", TRL, TUNED, keeps_memory=False, replay=False),
    Variant("TRL, its defaults", TRL, DEFAULTS, keeps_memory=False, replay=False),
)


@dataclass(frozen=True)
class Speed:
    """What one variant did in the steps that count."""

    trainer: str
    keeps_memory: bool
    steps: int
    tokens: int  # of the rows themselves: no padding
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


@dataclass(frozen=True)
class Result:
    speeds: list[Speed]
    batch_rows: int
    rank: int


def run(lessons: Sequence[Lesson], say: Say, steps: int = STEPS) -> Result:
    """Train the first steps of a ten-example lesson with every variant, each in its own process.

    Raises:
        JobError: a trainer failed; holds the end of what it said.
    """
    loop.require_enough(lessons)
    say("train: preparing")
    with fresh_daemon() as session, tempfile.TemporaryDirectory(prefix="shammah-bench-") as made:
        wait_until_prepared(session)
        taught = first_steps(asyncio.run(_build(session, lessons[: loop.THRESHOLD])), steps)
        base_dir = session.paths.base(session.base.name)
        speeds = []
        for number, variant in enumerate(VARIANTS):
            memory = "memory kept" if variant.keeps_memory else "glibc's allocator"
            say(f"train: {variant.trainer}, {memory}")
            folder = Path(made) / str(number)
            _write(taught, folder, variant)
            speeds.append(_measure(variant, folder, base_dir))
    recipe = taught.spec.recipe
    return Result(speeds, recipe.batch_rows, recipe.rank)


def first_steps(lesson: jobs.Lesson, steps: int) -> jobs.Lesson:
    """The same lesson, ended after so many optimizer steps."""
    order = [index for epoch in lesson.dataset.epochs for index in epoch]
    order = order[: steps * lesson.spec.recipe.batch_rows]
    return replace(lesson, dataset=Dataset(lesson.dataset.rows, [order]))


def step_tokens(dataset: Dataset, batch_rows: int) -> list[int]:
    """Tokens of the rows of each step."""
    order = [index for epoch in dataset.epochs for index in epoch]
    lengths = [len(dataset.rows[i].prompt) + len(dataset.rows[i].target) for i in order]
    return [sum(lengths[start : start + batch_rows]) for start in range(0, len(order), batch_rows)]


def section(result: Result) -> Section:
    reference = next(s for s in result.speeds if s.trainer == "TRL, tuned" and s.keeps_memory)
    return Section(
        title="Training",
        columns=("trainer", "allocator", "tokens/s", "a step", "beside TRL, tuned"),
        rows=[
            (
                speed.trainer,
                "keeps memory" if speed.keeps_memory else "default",
                rate(speed.tokens_per_second),
                seconds(speed.seconds / speed.steps),
                times(speed.tokens_per_second / reference.tokens_per_second),
            )
            for speed in result.speeds
        ],
        notes=[
            f"The same example rows in the same order, {result.batch_rows} a step, rank "
            f"{result.rank} on all linear layers, loss on the targets only, each trainer in its "
            f"own process, {reference.steps} steps after {UNCOUNTED_STEPS} uncounted. Tokens are "
            "those of the rows themselves, prompt and target, without padding; Shammah computes "
            "the beginning that the rows of a step share once, and counts it for each row. 'As a "
            "job runs it' trains and counts replay rows besides, with the KL term. 'Tuned' is "
            "TRL with model and adapter in bf16 and no gradient checkpointing.",
            "Targets (DESIGN §11): Shammah without replay >= 2 x TRL tuned, >= 6 x TRL with its "
            "defaults and the default allocator.",
        ],
    )


async def _build(session: Session, lessons: Sequence[Lesson]) -> jobs.Lesson:
    """The lesson that these corrections would make, tokenized by the served file."""
    base = Registry(session.paths).get(session.base.name)
    job = Job(
        id=1, base=base.name, mode=Mode.CONSOLIDATE, state=JobState.PREPARING, attempt=1,
        version=None, error=None, hint=None, created_at="", started_at=None, finished_at=None,
    )  # fmt: skip
    weight = session.config.learning.weight_critical
    examples = [_example(number, lesson, weight) for number, lesson in enumerate(lessons, 1)]
    engine = await Engine.start(Path(base.gguf), session.config.engine, slots=1)
    try:
        situation = Situation(examples, new=frozenset(example.id for example in examples))
        return await jobs.build(job, situation, session.config, engine, ChatTemplate.of(base))
    finally:
        await engine.close()


def _example(number: int, lesson: Lesson, weight: int) -> Example:
    return Example(
        id=number, turn_id="", feedback_id=number, status=ExampleStatus.READY,
        level=Level.CRITICAL, weight=weight,
        messages=[Message(role="user", content=lesson.question)],
        target=lesson.answer, rejected=None, note=None, created_at="", updated_at="",
    )  # fmt: skip


def _write(lesson: jobs.Lesson, folder: Path, variant: Variant) -> None:
    recipe = lesson.spec.recipe
    if not variant.replay:
        recipe = replace(recipe, replay_ratio=0.0, kl_weight=0.0)
    replace(lesson, spec=replace(lesson.spec, recipe=recipe)).save(folder)


def _measure(variant: Variant, folder: Path, base_dir: Path) -> Speed:
    result = _run_child(variant, [*variant.module, str(folder), str(base_dir), *variant.arguments])
    if variant.module == SHAMMAH:
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        steps = [(line["tokens"], line["seconds"]) for line in lines]
    else:
        batch_rows = JobSpec.load(folder / "job.json").recipe.batch_rows
        tokens = step_tokens(Dataset.load(folder / "rows.json"), batch_rows)
        ends = result["step_ends"]
        lasted = [end - start for start, end in pairwise(ends)]
        steps = [(tokens[0], 0.0), *zip(tokens[1:], lasted, strict=True)]
    counted = steps[UNCOUNTED_STEPS:]
    return Speed(
        trainer=variant.trainer,
        keeps_memory=variant.keeps_memory,
        steps=len(counted),
        tokens=sum(tokens for tokens, _ in counted),
        seconds=sum(lasted for _, lasted in counted),
    )


def _run_child(variant: Variant, command: Sequence[str]) -> dict[str, Any]:
    """The result line of a stage; whatever else a library prints is left out."""
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment(variant.keeps_memory),
        cwd=Path(__file__).parent.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=CHILD_SECONDS, check=False,
    )  # fmt: skip
    for line in reversed(done.stdout.splitlines()):
        if line.startswith('{"kind": "result"'):
            result: dict[str, Any] = json.loads(line)
            return result
    said = (done.stderr or done.stdout).strip().splitlines()[-3:]
    raise JobError(f"{variant.trainer} failed: " + " / ".join(said))


def environment(keeps_memory: bool) -> dict[str, str]:
    """That of a training child, with or without its allocator settings."""
    merged = {**os.environ, **CHILD_ENVIRONMENT}
    if keeps_memory:
        return merged
    return {name: value for name, value in merged.items() if not name.startswith("MALLOC_")}
