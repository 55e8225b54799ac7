"""From examples to what a job trains on and is judged by: phrasings, rows, quotas, cases.

Everything is tokenized by the engine that serves, so that training sees exactly the tokens that a
chat would. Writes nothing and decides nothing about when.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shammah.bases.template import ChatTemplate
from shammah.config import Config, LearningConfig
from shammah.engine.handle import Engine
from shammah.feedback.phrasings import held_out, phrasings, rephrased
from shammah.feedback.quotas import quotas, schedule
from shammah.files import write_atomically
from shammah.gate.measure import Case
from shammah.records import Example, Job, Message
from shammah.training.spec import Dataset, JobSpec, Recipe, Row


@dataclass(frozen=True)
class Lesson:
    """What one job teaches."""

    spec: JobSpec
    dataset: Dataset
    cases: list[Case]

    def save(self, folder: Path) -> None:
        """`rows.json`, `cases.json` and, last, `job.json`: where that is, all three are."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.dataset.save(folder / "rows.json")
        cases = [asdict(case) for case in self.cases]
        write_atomically(folder / "cases.json", json.dumps(cases).encode())
        self.spec.save(folder / "job.json")


def load_cases(folder: Path) -> list[Case]:
    return [Case(**item) for item in json.loads((folder / "cases.json").read_bytes())]


async def build(
    job: Job, examples: Sequence[Example], new: set[int], config: Config, engine: Engine,
    template: ChatTemplate,
) -> Lesson:  # fmt: skip
    """The lesson that `examples` make.

    Args:
        examples: ready ones, in the order of their ids.
        new: ids of those that the active version was not taught.
    """
    recipe = recipe_of(config)
    learning = config.learning
    rows: list[Row] = []
    first_row: list[int] = []  # of each example; its phrasings follow each other
    cases: list[Case] = []
    for example in examples:
        asked = [
            rephrased(example.messages, p) for p in phrasings(example.question, learning.phrasings)
        ]
        reserved = [rephrased(example.messages, p) for p in held_out(example.question)]
        tokenized = await _tokenize(engine, template, [*asked, *reserved], example)
        first_row.append(len(rows))
        rows += [
            Row(prompt, tokenized.target, example.id) for prompt in tokenized.prompts[: len(asked)]
        ]
        cases.append(
            Case(
                example_id=example.id,
                level=example.level,
                new=example.id in new,
                question=example.question,
                target_text=example.target or "",
                asked=tokenized.prompts[0],
                held_out=tokenized.prompts[len(asked) :],
                target=tokenized.target,
                rejected=tokenized.rejected,
            )
        )
    counts = [b - a for a, b in itertools.pairwise([*first_row, len(rows)])]
    slots = len(examples) * learning.repeats
    visits = schedule(
        quotas([example.weight for example in examples], slots),
        epochs_of(learning, slots),
        learning.phrasings,
        recipe.seed,
    )
    return Lesson(
        spec=JobSpec(
            job_id=job.id,
            base=job.base,
            mode=job.mode,
            recipe=recipe,
            examples=[
                {
                    "id": example.id,
                    "content_hash": example.content_hash,
                    "weight": example.weight,
                    "new": example.id in new,
                }
                for example in examples
            ],
            quantizations=list(config.gate.quantizations),
        ),
        dataset=Dataset(
            rows=rows,
            epochs=[
                [first_row[i] + phrasing % counts[i] for i, phrasing in epoch] for epoch in visits
            ],
        ),
        cases=cases,
    )


def epochs_of(learning: LearningConfig, slots: int) -> int:
    """Passes over the quota: more of them where a few examples would end too soon.

    What moves the model away from its base is undone by the KL term only in later steps: ten
    examples end at a KL of 0.119 nats after 30 steps and of 0.053 after 50 (docs/benchmarks.md).
    """
    return max(learning.epochs, math.ceil(learning.min_steps * learning.batch_rows / slots))


def recipe_of(config: Config) -> Recipe:
    """The hyperparameters that the settings ask for."""
    learning = config.learning
    return Recipe(
        rank=learning.rank,
        alpha=learning.alpha,
        learning_rate=learning.learning_rate,
        kl_weight=learning.kl_weight,
        replay_ratio=learning.replay_ratio,
        batch_rows=learning.batch_rows,
        warmup_steps=learning.warmup_steps,
        seed=learning.seed,
    )


@dataclass(frozen=True)
class _Tokenized:
    prompts: list[list[int]]
    target: list[int]
    rejected: list[int] | None


async def _tokenize(
    engine: Engine, template: ChatTemplate, asked: Sequence[list[Message]], example: Example
) -> _Tokenized:
    prompts = await engine.tokenize([template.render(m) for m in asked], prompt=True)
    answers = [text for text in (example.target, example.rejected) if text]
    closed = [template.render_with_target(example.messages, text)[1] for text in answers]
    tokens = await engine.tokenize_targets(closed)
    return _Tokenized(prompts, tokens[0], tokens[1] if len(tokens) > 1 else None)
