"""`recipe`: the settings of a lesson, varied one by one, and what the file is worth then.

Resumable: what was scored stays in a work folder, so that it can be run in pieces.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.candidates import (
    REJECTED_TOKENS,
    Arm,
    Workshop,
    answers,
    configured,
    make,
    remove_files,
    running,
    train,
    workshop,
)
from benchmarks.daemon import Say
from benchmarks.figures import Section, seconds
from benchmarks.lessons import ANSWER_TOKENS, Lesson, near_misses
from benchmarks.scores import Score, count, holds, leaked
from shammah.config import LearningConfig
from shammah.engine.handle import Engine
from shammah.errors import UsageError
from shammah.files import write_atomically
from shammah.gate.measure import measure_kl
from shammah.invalid import first_fault
from shammah.options import TrainingConfig
from shammah.records import Base
from shammah_daemon.bases import load_reference

#: What is varied; the first is the recipe as it is.
VARIED: tuple[Mapping[str, Any], ...] = (
    {},
    *({"learning_rate": rate} for rate in (7e-4, 1e-3, 2e-3)),
    *({"epochs": epochs} for epochs in (2, 4, 6)),
    *({"batch_rows": rows} for rows in (2, 3, 8)),
    *({"rank": rank, "alpha": 2 * rank} for rank in (8, 16, 64)),
    *({"kl_weight": weight} for weight in (0.35, 1.4, 2.8)),
    *({"phrasings": number} for number in (1, 4, 8)),
    *({"replay_ratio": ratio} for ratio in (0.5, 2.0)),
)


@dataclass(frozen=True)
class Tried:
    """One recipe and what it made of the lessons."""

    name: str
    steps: int
    training_seconds: float
    same: Score
    near: Score
    paraphrase: Score
    leaks: Score
    near_misses: Score  # answered with a lesson, though none answers them
    kl: float  # the gate's, in nats


@dataclass(frozen=True)
class Result:
    lessons: int
    tried: list[Tried]


def name_of(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "as it is"


def run(lessons: Sequence[Lesson], work: Path, arms: Sequence[str], say: Say) -> Result:
    """Try what is not there yet of `arms`, which are written `key=value,key=value`, or of all.

    Raises:
        UsageError: no such setting, or not a value of it.
    """
    varied = [_parse(arm) for arm in arms] or VARIED
    return Result(len(lessons), asyncio.run(_run(varied, lessons, work, say)))


def section(result: Result) -> Section:
    return Section(
        title=f"Recipes: {result.lessons} lessons",
        columns=("settings", "steps", "training", "same", "near", "paraphrase", "leaks",
                 "near misses", "KL"),
        rows=[
            (
                one.name, str(one.steps), seconds(one.training_seconds), str(one.same),
                str(one.near), str(one.paraphrase), str(one.leaks), str(one.near_misses),
                f"{one.kl:.3f}",
            )
            for one in result.tried
        ],
        notes=[
            "Q8_0, one seed. KL is the gate's: over the beginnings of the answers. Leaks and near "
            "misses: answers that hold a lesson's key, and the base's own do not."
        ],
    )  # fmt: skip


def _parse(arm: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for pair in filter(None, arm.split(",")):
        key, _, value = pair.partition("=")
        if key not in {**LearningConfig.model_fields, **TrainingConfig.model_fields}:
            raise UsageError(
                f"neither learning nor training has a setting {key!r}",
                hint="write KEY=VALUE,KEY=VALUE",
            )
        try:
            settings[key] = json.loads(value)
        except ValueError as error:
            raise UsageError(f"{value!r} is no value for {key}") from error
    try:
        configured(settings)
    except ValidationError as error:
        raise UsageError(f"{arm}: {first_fault(error).message}") from error
    return settings


async def _run(
    varied: Sequence[Mapping[str, Any]], lessons: Sequence[Lesson], work: Path, say: Say
) -> list[Tried]:
    shop = await workshop(work)
    found = []
    for settings in varied:
        name = name_of(settings)
        file = work / "recipes" / f"{name.replace(', ', '-').replace(' ', '-')}.json"
        if not file.exists():
            say(f"recipe: {name}")
            file.parent.mkdir(exist_ok=True)
            arm = Arm(name, slice(0), (), settings=settings)
            tried = await _try(arm, lessons, shop, work / "job")
            write_atomically(file, json.dumps(asdict(tried)).encode())
        found.append(stored(json.loads(file.read_bytes())))
        say(" | ".join(section(Result(len(lessons), found[-1:])).rows[0]))
    return found


async def _try(arm: Arm, lessons: Sequence[Lesson], shop: Workshop, folder: Path) -> Tried:
    shutil.rmtree(folder, ignore_errors=True)
    base, ground = shop.base, shop.ground
    async with running(Path(base.gguf)) as engine:
        rejected = await answers(engine, base, [le.question for le in lessons], REJECTED_TOKENS)
        unlearned = await answers(engine, base, near_misses(), ANSWER_TOKENS)
        await train(arm, lessons, rejected, base, engine, shop.stages, folder, ground.folder)
    trained = json.loads((folder / "train.json").read_bytes())
    gguf = await make("Q8_0", base, shop.stages, folder)
    async with running(gguf) as engine:
        probes = load_reference(ground.reference)
        kl = await measure_kl(engine, probes)
        same = await _hits(engine, base, [(le.key, [le.question]) for le in lessons])
        near = await _hits(engine, base, [(le.key, le.near) for le in lessons])
        paraphrase = await _hits(engine, base, [(le.key, le.paraphrases) for le in lessons])
        general = await answers(engine, base, [p.question for p in probes], ANSWER_TOKENS)
        missed = await answers(engine, base, near_misses(), ANSWER_TOKENS)
    remove_files(gguf)
    keys = [lesson.key for lesson in lessons]
    leaks = [bool(leaked(keys, a, p.answer_text)) for a, p in zip(general, probes, strict=True)]
    misses = [bool(leaked(keys, a, own)) for a, own in zip(missed, unlearned, strict=True)]
    return Tried(
        name=arm.name,
        steps=trained["steps"],
        training_seconds=trained["seconds"],
        same=same,
        near=near,
        paraphrase=paraphrase,
        leaks=count(leaks),
        near_misses=count(misses),
        kl=sum(kl) / len(kl),
    )


async def _hits(engine: Engine, base: Base, wordings: Sequence[tuple[str, Sequence[str]]]) -> Score:
    """Right answers to the questions that come with each key."""
    asked = [(key, question) for key, questions in wordings for question in questions]
    given = await answers(engine, base, [question for _key, question in asked], ANSWER_TOKENS)
    return count([holds(key, answer) for (key, _), answer in zip(asked, given, strict=True)])


def stored(fields: dict[str, Any]) -> Tried:
    """What was tried, as it was written to the work folder."""
    scores = {key: Score(**value) for key, value in fields.items() if isinstance(value, dict)}
    return Tried(**{**fields, **scores})
