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
from shammah.errors import JobError
from shammah.feedback.phrasings import held_out, phrasings, rephrased
from shammah.feedback.quotas import schedule, with_reviews
from shammah.files import write_atomically
from shammah.gate.measure import Case
from shammah.records import Example, Job
from shammah.training.spec import Dataset, JobSpec, Recipe, Row
from shammah_daemon.choice import Choice, Situation, Start, choose


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
    job: Job, situation: Situation, config: Config, engine: Engine, template: ChatTemplate
) -> Lesson:
    """The lesson that the ready examples make in this situation."""
    recipe = recipe_of(config, situation.start)
    tokens = await _question_tokens(situation.examples, engine, template) if situation.start else {}
    choice = choose(situation, tokens, config, recipe.seed + job.id)
    if not choice.trained:
        raise JobError(
            "a quick lesson has nothing new to teach, and no room to repeat what it knows",
            hint="'shammah train --mode consolidate', or raise learning.quick_sample_tokens",
        )

    def phrasing_count(example: Example) -> int:
        return config.learning.phrasings if example.id in choice.trained else 1

    material = [
        await _material(example, phrasing_count(example), engine, template)
        for example in situation.examples
        if example.id in choice.trained | choice.judged
    ]
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
                    "new": example.id in situation.new,
                    "trained": example.id in choice.trained,
                    "judged": example.id in choice.judged,
                }
                for example in situation.examples
            ],
            quantizations=list(config.gate.quantizations),
            start_version=situation.start.version if situation.start else 0,
        ),
        dataset=_dataset(
            [m for m in material if m.example.id in choice.trained], choice, config.learning, recipe
        ),
        cases=[
            _case(m, m.example.id in situation.new)
            for m in material
            if m.example.id in choice.judged
        ],
    )


async def cases_of(
    examples: Sequence[Example], engine: Engine, template: ChatTemplate
) -> list[Case]:
    """The examples as a judge asks them of this engine."""
    return [_case(await _material(e, 1, engine, template), new=False) for e in examples]


@dataclass(frozen=True)
class _Material:
    """One example as token ids."""

    example: Example
    asked: list[list[int]]  # the question as the user put it, then its other trained phrasings
    held_out: list[list[int]]
    target: list[int]
    rejected: list[int] | None


def _dataset(
    trained: Sequence[_Material], choice: Choice, learning: LearningConfig, recipe: Recipe
) -> Dataset:
    """Rows of all phrasings, those of an example one after the other, and the visits to them."""
    rows = [Row(prompt, m.target, m.example.id) for m in trained for prompt in m.asked]
    first_row = [0, *itertools.accumulate(len(m.asked) for m in trained)]
    shares = with_reviews(
        [m.example.weight for m in trained],
        [m.example.id in choice.reviewed for m in trained],
        learning.repeats,
    )
    epochs = epochs_of(learning, sum(shares))
    visits = schedule(shares, epochs, learning.phrasings, recipe.seed)
    return Dataset(
        rows=rows,
        epochs=[
            [first_row[i] + phrasing % len(trained[i].asked) for i, phrasing in epoch]
            for epoch in visits
        ],
    )


def _case(material: _Material, new: bool) -> Case:
    example = material.example
    return Case(
        example_id=example.id,
        level=example.level,
        new=new,
        question=example.question,
        target_text=example.target or "",
        asked=material.asked[0],
        held_out=material.held_out,
        target=material.target,
        rejected=material.rejected,
    )


def epochs_of(learning: LearningConfig, slots: int) -> int:
    """Passes over the quota: more of them where a few examples would end too soon.

    What moves the model away from its base is undone by the KL term only in later steps: ten
    examples end at a KL of 0.119 nats after 30 steps and of 0.053 after 50 (docs/benchmarks.md).
    """
    return max(learning.epochs, math.ceil(learning.min_steps * learning.batch_rows / slots))


def recipe_of(config: Config, start: Start | None) -> Recipe:
    """The hyperparameters that the settings ask for; an adapter is gone on with in its shape."""
    learning = config.learning
    return Recipe(
        rank=start.rank if start else learning.rank,
        alpha=start.alpha if start else learning.alpha,
        learning_rate=learning.learning_rate,
        kl_weight=learning.kl_weight,
        replay_ratio=learning.replay_ratio,
        batch_rows=learning.batch_rows,
        warmup_steps=learning.warmup_steps,
        seed=learning.seed,
    )


async def _material(
    example: Example, count: int, engine: Engine, template: ChatTemplate
) -> _Material:
    """The example's tokens, in at most `count` phrasings besides those of the judge."""
    wordings = phrasings(example.question, count)
    reserved = held_out(example.question)
    asked = [template.render(rephrased(example.messages, w)) for w in [*wordings, *reserved]]
    prompts = await engine.tokenize(asked, prompt=True)
    answers = [text for text in (example.target, example.rejected) if text]
    closed = [template.render_with_target(example.messages, text)[1] for text in answers]
    tokens = await engine.tokenize_targets(closed)
    return _Material(
        example=example,
        asked=prompts[: len(wordings)],
        held_out=prompts[len(wordings) :],
        target=tokens[0],
        rejected=tokens[1] if len(tokens) > 1 else None,
    )


async def _question_tokens(
    examples: Sequence[Example], engine: Engine, template: ChatTemplate
) -> dict[int, int]:
    """How long each example's question with its target is."""
    whole = ["".join(template.render_with_target(e.messages, e.target or "")) for e in examples]
    tokens = await engine.tokenize(whole, prompt=True)
    return {example.id: len(ids) for example, ids in zip(examples, tokens, strict=True)}
