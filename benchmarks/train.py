"""`train`: Shammah's trainer beside TRL's SFTTrainer, on the same rows: speed, memory and loss."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from benchmarks import child, flops, loop
from benchmarks import rows as row_sets
from benchmarks.candidates import Workshop, running, workshop
from benchmarks.daemon import Say
from benchmarks.figures import Section, gibibytes, percent, rate, seconds, times
from benchmarks.lessons import Lesson
from benchmarks.rows import RowSet
from shammah.bases.template import ChatTemplate
from shammah.config import Config
from shammah.records import Example, ExampleStatus, Job, JobState, Level, Message, Mode
from shammah.training.spec import CHILD_ENVIRONMENT, Dataset, JobSpec, Row
from shammah_daemon import lesson as jobs
from shammah_daemon.choice import Situation

#: Of a lesson's rows; those of `row_sets.SHORT` and `LONG` say it themselves.
STEPS = 6
#: The first steps pay for memory and kernels; on so few of them that would be a large share.
UNCOUNTED_STEPS = 1


@dataclass(frozen=True)
class Variant:
    """One way to train the rows."""

    trainer: str
    trl_settings: str | None = None  # None: Shammah's trainer
    keeps_memory: bool = True  # CHILD_ENVIRONMENT's allocator settings
    replay: bool = False


REPLAY = Variant("Shammah, as a job runs it", replay=True)
OURS = Variant("Shammah")
TUNED = Variant("TRL, tuned", "tuned")
DEFAULTS = Variant("TRL, its defaults", "defaults")

#: What the aims of DESIGN §11 are about.
COMPARED = (OURS, TUNED, DEFAULTS, replace(DEFAULTS, keeps_memory=False))
ALL = (REPLAY, *COMPARED, replace(OURS, keeps_memory=False), replace(TUNED, keeps_memory=False))


@dataclass(frozen=True)
class Speed:
    """What one variant did in the steps that count."""

    rows: str
    trainer: str
    keeps_memory: bool
    steps: int
    tokens: int  # of the rows themselves: no padding
    seconds: float
    peak_bytes: int
    losses: list[float]  # nats a target token, of every step, those that do not count included
    gemm_share: float | None  # of the machine's rate; None: tokens are shared or replayed

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


@dataclass(frozen=True)
class Result:
    speeds: list[Speed]
    batch_rows: int
    rank: int
    gemm_flops_per_second: list[float]  # before each variant, and after the last
    precision: str
    threads: int


def run(lessons: Sequence[Lesson], say: Say) -> Result:
    """Train every set of rows with every variant, each in its own process.

    Raises:
        UsageError: fewer than ten lessons.
        JobError: a trainer failed; holds the end of what it said.
    """
    loop.require_enough(lessons)
    say("train: preparing")
    with tempfile.TemporaryDirectory(prefix="shammah-bench-") as made:
        shop = asyncio.run(workshop(Path(made)))
        sets = asyncio.run(make_rows(shop, lessons[: loop.THRESHOLD]))
        return compare(sets, shop.ground.folder, Path(made), say)


async def make_rows(shop: Workshop, lessons: Sequence[Lesson]) -> list[RowSet]:
    """A lesson's rows, short and long ones, tokenized by the served file."""
    async with running(Path(shop.base.gguf)) as engine:
        config, template = Config(), ChatTemplate.of(shop.base)
        job = Job(
            id=1, base=shop.base.name, mode=Mode.CONSOLIDATE, state=JobState.PREPARING, attempt=1,
            version=None, error=None, hint=None, created_at="", started_at=None, finished_at=None,
        )  # fmt: skip
        weight = config.learning.weight_critical
        examples = [_example(number, lesson, weight) for number, lesson in enumerate(lessons, 1)]
        situation = Situation(examples, new=frozenset(example.id for example in examples))
        lesson = await jobs.build(job, situation, config, engine, template)
        texts = [path.read_text() for path in sorted(row_sets.TEXTS.glob("*.md"))]
        tokens = [t for text in await engine.tokenize(texts, prompt=False) for t in text]
    recipe = replace(lesson.spec.recipe, replay_ratio=0.0, kl_weight=0.0, warmup_steps=0)
    return [
        row_sets.of_lesson(lesson, STEPS),
        row_sets.of_text(tokens, row_sets.SHORT, recipe),
        row_sets.of_text(tokens, row_sets.LONG, recipe),
    ]


def compare(sets: Sequence[RowSet], base_dir: Path, work: Path, say: Say) -> Result:
    """Train the sets on a prepared base, with a look at the machine's rate between two trainers."""
    plain = plain_coordinates(base_dir, work / "plain")
    sizes = flops.Sizes.read(base_dir / "train")
    command = ["benchmarks.gemm_stage", str(base_dir / "train")]
    machine = child.run("the matrix product", command, environment(keeps_memory=True)).result
    rates, speeds = [float(machine["flops_per_second"])], []
    for number, (rows, variant) in enumerate(_pairs(sets)):
        memory = "memory kept" if variant.keeps_memory else "glibc's allocator"
        say(f"train: {rows.name} rows, {variant.trainer}, {memory}")
        folder = work / f"job-{number}"
        write(rows, variant, folder)
        speed = _measure(rows, variant, folder, base_dir if variant.replay else plain)
        after = child.run("the matrix product", command, environment(keeps_memory=True)).result
        rates.append(float(after["flops_per_second"]))
        if rows.name in (row_sets.SHORT.name, row_sets.LONG.name):
            counted = [row for batch in rows.batches[UNCOUNTED_STEPS:] for row in batch]
            asked = flops.of_rows(counted, sizes, rows.recipe.rank)
            speed = replace(speed, gemm_share=asked / speed.seconds / max(rates[-2:]))
        speeds.append(speed)
    recipe = sets[0].recipe
    return Result(
        speeds, recipe.batch_rows, recipe.rank, rates, machine["precision"], machine["threads"]
    )


def _pairs(sets: Sequence[RowSet]) -> Iterator[tuple[RowSet, Variant]]:
    for number, rows in enumerate(sets):
        for variant in COMPARED if number else ALL:
            yield rows, variant


def section(result: Result) -> Section:
    rates = [rate / 1e9 for rate in result.gemm_flops_per_second]
    return Section(
        title="Training",
        columns=(
            "rows, trainer", "allocator", "tokens/s", "a step", "beside TRL, tuned", "peak memory",
            "of the GEMM rate", "loss, first and last", "from Shammah's loss",
        ),
        rows=[_cells(speed, result.speeds) for speed in result.speeds],
        notes=[
            f"The same example rows in the same order, {result.batch_rows} a step, rank "
            f"{result.rank} on all linear layers, loss on the targets only, each trainer in its "
            f"own process with {result.threads} threads, {UNCOUNTED_STEPS} step uncounted. Tokens "
            "are those of the rows themselves, prompt and target, without padding. Of a lesson's "
            "rows Shammah computes the beginning that the rows of a step share once, and counts it "
            "for each row; short and long rows share nothing. 'As a job runs it' trains and counts "
            "replay rows besides, with the KL term, in whitened coordinates, and joins rows to "
            "conversations in every second step. 'Tuned' is TRL with "
            "model and adapter in bf16 and no gradient checkpointing.",
            f"Matrix products of the base's own shapes in {result.precision}, at best, between "
            f"two trainers: {min(rates):.0f} to {max(rates):.0f} GFLOP/s.",
            "From Shammah's loss: the largest difference at equal steps, and of the means.",
            "Targets (DESIGN §11): Shammah >= 2 x TRL tuned, >= 6 x TRL with its defaults and the "
            "default allocator, >= 60 % of the GEMM rate.",
        ],
    )  # fmt: skip


def _cells(speed: Speed, speeds: Sequence[Speed]) -> tuple[str, ...]:
    def other(variant: Variant) -> Speed:
        return next(
            s
            for s in speeds
            if (s.rows, s.trainer, s.keeps_memory) == (speed.rows, variant.trainer, True)
        )

    apart = "" if speed.trainer == REPLAY.trainer else _apart(speed.losses, other(OURS).losses)
    return (
        f"{speed.rows}: {speed.trainer}",
        "keeps memory" if speed.keeps_memory else "default",
        rate(speed.tokens_per_second),
        seconds(speed.seconds / speed.steps),
        times(speed.tokens_per_second / other(TUNED).tokens_per_second),
        gibibytes(speed.peak_bytes),
        "" if speed.gemm_share is None else percent(speed.gemm_share),
        f"{speed.losses[0]:.3f}, {speed.losses[-1]:.3f}",
        apart,
    )


def _apart(losses: Sequence[float], others: Sequence[float]) -> str:
    worst = max(abs(one - other) for one, other in zip(losses, others, strict=True))
    mean = sum(losses) / len(losses) - sum(others) / len(others)
    return f"{worst:.3f}, {mean:+.3f}"


def _example(number: int, lesson: Lesson, weight: int) -> Example:
    return Example(
        id=number, turn_id="", feedback_id=number, status=ExampleStatus.READY,
        level=Level.CRITICAL, weight=weight,
        messages=[Message(role="user", content=lesson.question)],
        target=lesson.answer, rejected=None, note=None, created_at="", updated_at="",
    )  # fmt: skip


def write(rows: RowSet, variant: Variant, folder: Path) -> None:
    """`job.json` and `rows.json`, as the trainers read them."""
    recipe, dataset = rows.recipe, rows.dataset
    if not variant.replay:
        # Without warm-up both have the same learning rate at every step: linear to zero.
        recipe = replace(recipe, replay_ratio=0.0, kl_weight=0.0, warmup_steps=0, patience=0)
        # Asked alone: TRL knows no conversation of several rows.
        dataset = Dataset([replace(row, follow=[]) for row in dataset.rows], dataset.epochs)
    folder.mkdir()
    dataset.save(folder / "rows.json")
    JobSpec(
        job_id=1, base="benchmark", mode=Mode.CONSOLIDATE, recipe=recipe, examples=[],
        quantizations=[],
    ).save(folder / "job.json")  # fmt: skip


def plain_coordinates(base_dir: Path, folder: Path) -> Path:
    """The prepared base once more, with a whitening that changes nothing: A is then trained as
    PEFT trains it, by the same operations as a whitened one."""
    folder.mkdir()
    for path in base_dir.iterdir():
        if path.name != "whitening.safetensors":
            (folder / path.name).symlink_to(path)
    with safe_open(base_dir / "whitening.safetensors", "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(base_dir / "whitening.safetensors")
    for name, tensor in tensors.items():
        if name.endswith(".gains"):
            tensor[:] = 0
        elif name.endswith(".flat"):
            tensor[:] = 1
    save_file(tensors, folder / "whitening.safetensors", metadata=metadata)
    return folder


def _measure(rows: RowSet, variant: Variant, folder: Path, base_dir: Path) -> Speed:
    around = environment(variant.keeps_memory)
    if variant.trl_settings is None:
        request: dict[str, Any] = {"job_dir": str(folder), "adapter": None, "adjustments": {}}
        command = ["shammah.training", "train", str(base_dir)]
        done = child.run(variant.trainer, command, around, request)
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        steps = [(line["tokens"], line["seconds"]) for line in lines]
        losses = [line["nll"] for line in lines]
    else:
        command = ["benchmarks.trl_stage", str(folder), str(base_dir)]
        command += ["--settings", variant.trl_settings]
        done = child.run(variant.trainer, command, around)
        ends, losses = done.result["step_ends"], done.result["losses"]
        lasted = [0.0, *(end - start for start, end in pairwise(ends))]
        steps = list(zip(step_tokens(rows.batches), lasted, strict=True))
    counted = steps[UNCOUNTED_STEPS:]
    return Speed(
        rows=rows.name,
        trainer=variant.trainer,
        keeps_memory=variant.keeps_memory,
        steps=len(counted),
        tokens=sum(tokens for tokens, _ in counted),
        seconds=sum(lasted for _, lasted in counted),
        peak_bytes=done.peak_bytes,
        losses=losses,
        gemm_share=None,
    )


def step_tokens(batches: Sequence[Sequence[Row]]) -> list[int]:
    """Tokens of the rows of each step."""
    return [sum(len(row.prompt) + len(row.target) for row in batch) for batch in batches]


def environment(keeps_memory: bool) -> dict[str, str]:
    """That of a training child, with or without its allocator settings."""
    merged = {**os.environ, **CHILD_ENVIRONMENT}
    if keeps_memory:
        return merged
    return {name: value for name, value in merged.items() if not name.startswith("MALLOC_")}
