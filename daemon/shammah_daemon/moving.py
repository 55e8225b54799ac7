"""From one base to another: what the former version holds, and the lesson for the new one.

Both are measured before training, while both engines are at hand; the judge reads them later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from shammah.bases.template import ChatTemplate
from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.errors import JobError
from shammah.files import write_atomically
from shammah.gate.evidence import Before
from shammah.gate.measure import Case, answer_cases, measure_cases, measure_targets
from shammah.gate.verdicts import case_verdict
from shammah.records import Base, Job
from shammah_daemon.choice import Situation
from shammah_daemon.database import Database
from shammah_daemon.lesson import Lesson, build, cases_of
from shammah_daemon.serving import Serving


@dataclass(frozen=True)
class Former:
    """`jobs/<id>/former.json`: what a version of another base is compared with."""

    held: list[int]  # ids of the examples that the former version answers rightly
    nll: list[float]  # of the targets under the new base itself, in the order of the cases

    def save(self, folder: Path) -> None:
        write_atomically(folder / "former.json", json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> Former | None:
        """None where the job stays on the active base."""
        path = folder / "former.json"
        return cls(**json.loads(path.read_bytes())) if path.exists() else None


async def prepare(
    job: Job, base: Base, config: Config, database: Database, serving: Serving, engine: Engine
) -> tuple[Lesson, Former]:
    """All ready examples for `base`, and what they are judged against.

    Args:
        engine: on the new base itself.

    Raises:
        JobError: there is nothing to teach.
    """
    examples = await database.run(lambda store: store.examples.ready())
    if not examples:
        raise JobError(
            "there is nothing to teach any more",
            hint=f"'shammah model use {base.name}' serves it at once",
        )
    async with serving.borrow() as lease:
        asked = await cases_of(examples, lease.engine, lease.template)
    async with serving.borrow(bare=True) as former:
        held = await _held(former.engine, asked)
    situation = Situation(examples, new=frozenset(example.id for example in examples))
    lesson = await build(job, situation, config, engine, ChatTemplate.of(base))
    nll = [median(of_case) for of_case in await measure_targets(engine, lesson.cases)]
    return lesson, Former(held, nll)


async def _held(engine: Engine, cases: Sequence[Case]) -> list[int]:
    answers = await answer_cases(engine, cases)
    measures = await measure_cases(engine, cases, answers, [None] * len(cases))
    verdicts = [
        case_verdict(case, Before(measure.median_nll), measure)
        for case, measure in zip(cases, measures, strict=True)
    ]
    return [found.example_id for found in verdicts if found.learned]
