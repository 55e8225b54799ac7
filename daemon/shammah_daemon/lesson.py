"""From examples to what a job trains on and is judged by: rows, quotas, cases.

Writes nothing and decides nothing about when.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from shammah.bases.template import ChatTemplate
from shammah.config import Config, LearningConfig
from shammah.engine.handle import Engine
from shammah.errors import JobError
from shammah.feedback.quotas import schedule, with_reviews
from shammah.files import write_atomically
from shammah.gate.measure import Case
from shammah.records import Example, Job
from shammah.training.sizes import learning_rate_for
from shammah.training.spec import Dataset, JobSpec, Recipe, Row
from shammah_daemon.choice import Choice, Situation, Start, choose
from shammah_daemon.material import Material, cases, material

#: Rows that tell during training whether it goes wrong, at most: each look takes time.
HELD_OUT_ROWS = 8

#: Examples up to which a lesson takes half of the replay, and from which on it takes all of it. Ten
#: lessons at half of it are learned as well, in four fifths of the time, and end at a KL of 0.047
#: nats instead of 0.041; of twenty, other wordings suffer (docs/learning.md).
FEW_EXAMPLES, MANY_EXAMPLES = 10, 20


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
    recipe = recipe_of(config, engine.description["parameters"], situation.start)
    tokens = await _question_tokens(situation.examples, engine, template) if situation.start else {}
    choice = choose(situation, tokens, config, recipe.seed + job.id)
    recipe = replace(
        recipe, replay_ratio=recipe.replay_ratio * share_of_replay(len(choice.trained))
    )
    if not choice.trained:
        raise JobError(
            "a quick lesson has nothing new to teach, and no room to repeat what it knows",
            hint="'shammah train --mode consolidate', or raise learning.quick_sample_tokens",
        )

    def phrasing_count(example: Example) -> int:
        return config.learning.phrasings if example.id in choice.trained else 1

    materials = [
        await material(example, phrasing_count(example), engine, template)
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
            [m for m in materials if m.example.id in choice.trained],
            choice,
            config.learning,
            recipe,
        ),
        cases=await cases(
            [m for m in materials if m.example.id in choice.judged],
            situation.new,
            engine,
            template,
        ),
    )


async def cases_of(
    examples: Sequence[Example], engine: Engine, template: ChatTemplate
) -> list[Case]:
    """The examples as a judge asks them of this engine."""
    materials = [await material(example, 1, engine, template) for example in examples]
    return await cases(materials, frozenset(), engine, template)


def _dataset(
    trained: Sequence[Material], choice: Choice, learning: LearningConfig, recipe: Recipe
) -> Dataset:
    """Rows of all phrasings, those of an example one after the other, and the visits to them."""
    rows = [
        Row(prompt, m.target, m.example.id, follow=follow, system=m.system)
        for m in trained
        for prompt, follow in zip(m.asked, m.following or [[]] * len(m.asked), strict=True)
    ]
    first_row = [0, *itertools.accumulate(len(m.asked) for m in trained)]
    shares = with_reviews(
        [m.example.weight for m in trained],
        [m.example.id in choice.reviewed for m in trained],
        learning.repeats,
    )
    epochs = epochs_of(learning, sum(shares))
    visits = schedule(shares, epochs, learning.phrasings, recipe.seed)
    return Dataset(
        rows=[*rows, *_held_out(trained)],
        epochs=[
            [first_row[i] + phrasing % len(trained[i].asked) for i, phrasing in epoch]
            for epoch in visits
        ],
    )


def _held_out(trained: Sequence[Material]) -> list[Row]:
    """One of the judge's phrasings of some examples, for training to look at."""
    every = math.ceil(len(trained) / HELD_OUT_ROWS)
    return [
        Row(m.held_out[0], m.target, m.example.id, held_out=True) for m in trained[::every]
    ]  # fmt: skip


def epochs_of(learning: LearningConfig, slots: int) -> int:
    """Passes over the quota: more of them where a few examples would end too soon.

    What moves the model away from its base is undone by the KL term only in later steps: ten
    examples end at a KL of 0.119 nats after 30 steps and of 0.053 after 50 (docs/benchmarks.md).
    """
    return max(learning.epochs, math.ceil(learning.min_steps * learning.batch_rows / slots))


def share_of_replay(examples: int) -> float:
    """How much of `learning.replay_ratio` a lesson of so many examples takes."""
    return min(max(examples, FEW_EXAMPLES) / MANY_EXAMPLES, 1.0)


def recipe_of(config: Config, parameters: int, start: Start | None) -> Recipe:
    """The hyperparameters that the settings ask for, or that suit a base of so many parameters; an
    adapter is gone on with in its shape."""
    learning = config.learning
    return Recipe(
        rank=start.rank if start else learning.rank,
        alpha=start.alpha if start else learning.alpha,
        learning_rate=learning.learning_rate or learning_rate_for(parameters),
        kl_weight=learning.kl_weight,
        replay_ratio=learning.replay_ratio,
        batch_rows=learning.batch_rows,
        warmup_steps=learning.warmup_steps,
        seed=learning.seed,
        patience=learning.patience,
    )


async def _question_tokens(
    examples: Sequence[Example], engine: Engine, template: ChatTemplate
) -> dict[int, int]:
    """How long each example's question with its target is."""
    whole = ["".join(template.render_with_target(e.messages, e.target or "")) for e in examples]
    tokens = await engine.tokenize(whole, prompt=True)
    return {example.id: len(ids) for example, ids in zip(examples, tokens, strict=True)}
