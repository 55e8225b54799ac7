"""From examples to what a job trains on and is judged by: rows, quotas, cases.

Writes nothing and decides nothing about when.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shammah.bases.architectures import lookup
from shammah.bases.template import ChatTemplate
from shammah.config import Config, LearningConfig
from shammah.engine.handle import Engine
from shammah.errors import JobError
from shammah.feedback.quotas import schedule, with_reviews
from shammah.files import write_atomically
from shammah.gate.measure import Case
from shammah.options import ALL_LINEAR, TrainingConfig, least_rows, resolved
from shammah.records import Example, Job
from shammah.training.sizes import learning_rate_for
from shammah.training.spec import Dataset, JobSpec, Recipe, Row
from shammah_daemon.choice import Choice, Situation, Start, choose
from shammah_daemon.material import Material, cases, fitted, material

#: Examples up to which a lesson takes half of the replay, and from which on it takes all of it. Ten
#: lessons at half of it are learned as well, in four fifths of the time, and end at a KL of 0.047
#: nats instead of 0.041; of twenty, other wordings suffer (docs/learning.md).
FEW_EXAMPLES, MANY_EXAMPLES = 10, 20

#: Optimizer steps up to which the learning rate is that of the base's size: with all of it, forty
#: examples (120 steps) end at a KL of 0.117 nats, which the gate rejects. In a longer lesson the
#: weight of the KL term grows as the steps do. The rate falls as much, but no lower than to this
#: share: at less than half of it, a fifth of a hundred and twenty examples is not learned
#: (docs/learning.md, "Many lessons").
FULL_RATE_STEPS, LEAST_RATE = 60, 0.4

#: Of that rate, the most that a quick lesson has. It goes on from an adapter that others have moved
#: before: at the full rate the fourth in a row ends at a KL of 0.134 nats (docs/learning.md).
QUICK_RATE = 0.5


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
    training = resolved(config.training, job.preset, job.options)
    recipe = recipe_of(config.learning, training, engine.description, situation.start)
    tokens = await _question_tokens(situation.examples, engine, template) if situation.start else {}
    choice = choose(situation, tokens, config, training, recipe.seed + job.id)
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

    chosen = [e for e in situation.examples if e.id in choice.trained | choice.judged]
    fitting = [await fitted(e, training.max_length, engine, template) for e in chosen]
    too_long = [e.id for e, fits in zip(chosen, fitting, strict=True) if fits is None]
    materials = [
        await material(example, phrasing_count(example), engine, template)
        for example in fitting
        if example is not None
    ]
    if not any(m.example.id in choice.trained for m in materials):
        raise JobError(
            f"no example fits into training.max_length = {training.max_length} tokens",
            hint=f"'shammah config set training.max_length {2 * training.max_length}'",
        )
    dataset = _dataset(
        [m for m in materials if m.example.id in choice.trained],
        choice,
        config.learning,
        training,
    )
    if not training.learning_rate:
        rows, quick = sum(map(len, dataset.epochs)), situation.start is not None
        steps = math.ceil(rows / training.batch_rows)
        recipe = slowed_after_others(recipe, steps) if quick else slowed(recipe, steps)
    watched = {row.example_id for row in dataset.rows if row.held_out}
    judged = [m for m in materials if m.example.id in choice.judged]
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
            too_long=too_long,
        ),
        dataset=dataset,
        cases=[
            replace(case, watched=case.example_id in watched)
            for case in await cases(judged, situation.new, engine, template)
        ],
    )


async def cases_of(
    examples: Sequence[Example], engine: Engine, template: ChatTemplate
) -> list[Case]:
    """The examples as a judge asks them of this engine."""
    materials = [await material(example, 1, engine, template) for example in examples]
    return await cases(materials, frozenset(), engine, template)


def _dataset(
    trained: Sequence[Material],
    choice: Choice,
    learning: LearningConfig,
    training: TrainingConfig,
) -> Dataset:
    """Rows of all phrasings, those of an example one after the other, and the visits to them."""
    rows = [
        Row(prompt, m.target, m.example.id, follow=follow, system=m.system)
        for m in trained
        for prompt, follow in zip(m.asked, m.following or [[]] * len(m.asked), strict=True)
    ]
    first_row = [0, *itertools.accumulate(len(m.asked) for m in trained)]
    reviews = [choice.reviews.get(m.example.id, 0) for m in trained]
    slots = reviews.count(0) * learning.repeats
    epochs = epochs_of(training, slots, sum(reviews))
    shares = with_reviews([m.example.weight for m in trained], reviews, learning.repeats, epochs)
    visits = schedule(shares, learning.phrasings, training.seed)
    return Dataset(
        rows=[*rows, *_held_out(trained, training.validation_rows)],
        epochs=[
            [first_row[i] + phrasing % len(trained[i].asked) for i, phrasing in epoch]
            for epoch in visits
        ],
    )


def _held_out(trained: Sequence[Material], rows: int) -> list[Row]:
    """One of the judge's phrasings of some examples, for training to look at."""
    if not rows:
        return []
    every = math.ceil(len(trained) / rows)
    return [
        Row(m.held_out[0], m.target, m.example.id, held_out=True) for m in trained[::every]
    ]  # fmt: skip


def epochs_of(training: TrainingConfig, slots: int, reviews: int = 0) -> int:
    """Passes over so many slots: more of them where a few examples would end too soon.

    What moves the model away from its base is undone by the KL term only in later steps: ten
    examples end at a KL of 0.119 nats after 30 steps and of 0.053 after 50 (docs/benchmarks.md).
    """
    missing = least_rows(training) - reviews
    return max(training.epochs, math.ceil(missing / slots) if slots else 0)


def slowed(recipe: Recipe, steps: int) -> Recipe:
    """The recipe for a lesson of so many steps that begins with the base."""
    share = min(1.0, FULL_RATE_STEPS / steps)
    return _at(recipe, max(share, LEAST_RATE), share)


def slowed_after_others(recipe: Recipe, steps: int) -> Recipe:
    """The recipe for a quick lesson of so many steps, which begins with an adapter that others have
    moved before."""
    share = min(QUICK_RATE, FULL_RATE_STEPS / steps)
    return _at(recipe, share, share)


def _at(recipe: Recipe, rate: float, share: float) -> Recipe:
    return replace(
        recipe, learning_rate=recipe.learning_rate * rate, kl_weight=recipe.kl_weight / share
    )


def share_of_replay(examples: int) -> float:
    """How much of `learning.replay_ratio` a lesson of so many examples takes."""
    return min(max(examples, FEW_EXAMPLES) / MANY_EXAMPLES, 1.0)


def recipe_of(
    learning: LearningConfig,
    training: TrainingConfig,
    base: Mapping[str, Any],
    start: Start | None,
) -> Recipe:
    """The hyperparameters that the settings ask for, or that suit the base; an adapter is gone on
    with in its shape.

    Args:
        base: its `architecture` and `parameters`, as an engine describes it.

    Raises:
        JobError: the base has no such layers.
    """
    return Recipe(
        rank=start.rank if start else training.rank,
        alpha=start.alpha if start else training.alpha,
        target_modules=list(start.target_modules) if start else _modules(training, base),
        use_rslora=start.use_rslora if start else training.use_rslora,
        use_dora=start.use_dora if start else training.use_dora,
        init_lora_weights=training.init_lora_weights,
        dropout=training.dropout,
        whiten=training.whiten,
        optim=training.optim,
        learning_rate=training.learning_rate
        or learning_rate_for(base["parameters"], training.optim),
        lr_scheduler_type=training.lr_scheduler_type,
        lr_cycles=training.lr_cycles,
        lr_power=training.lr_power,
        warmup_steps=training.warmup_steps,
        adam_beta1=training.adam_beta1,
        adam_beta2=training.adam_beta2,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        max_loss_jump=training.max_loss_jump,
        kl_weight=learning.kl_weight,
        replay_ratio=learning.replay_ratio,
        batch_rows=training.batch_rows,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        patience=training.patience,
        save_total_limit=training.save_total_limit,
        report_to=list(training.report_to),
        seed=training.seed,
    )


def _modules(training: TrainingConfig, base: Mapping[str, Any]) -> list[str]:
    """The layers to adapt by name; empty: all linear ones."""
    if training.target_modules == ALL_LINEAR:
        return []
    known = lookup(base["architecture"]).lora_targets
    if unknown := sorted(set(training.target_modules) - set(known)):
        raise JobError(
            f"training.target_modules names {', '.join(unknown)}, which this base does not have",
            hint=f"its linear layers are {', '.join(known)}; {ALL_LINEAR!r} takes them all",
        )
    return list(training.target_modules)


async def _question_tokens(
    examples: Sequence[Example], engine: Engine, template: ChatTemplate
) -> dict[int, int]:
    """How long each example's question with its target is."""
    whole = ["".join(template.render_with_target(e.messages, e.target or "")) for e in examples]
    tokens = await engine.tokenize(whole, prompt=True)
    return {example.id: len(ids) for example, ids in zip(examples, tokens, strict=True)}
