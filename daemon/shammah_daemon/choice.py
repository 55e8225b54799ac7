"""Which examples a lesson trains on, and which its judge asks. Knows no tokens and no process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shammah.config import Config
from shammah.feedback.rehearsal import Earlier, extent, sample
from shammah.options import TrainingConfig, least_rows
from shammah.records import Active, Example, Mode, Verdict
from shammah.store.database import Store


@dataclass(frozen=True)
class Start:
    """The version whose adapter a quick lesson goes on from, and the shape of that adapter."""

    version: int
    rank: int
    alpha: float
    target_modules: Sequence[str] = ()  # all linear layers
    use_rslora: bool = False
    use_dora: bool = False


@dataclass(frozen=True)
class Situation:
    """What is known of the examples when a lesson is chosen; all but `examples` by id."""

    examples: Sequence[Example]  # ready ones, in the order of their ids
    new: frozenset[int]  # the active version was not taught them
    wrong: frozenset[int] = frozenset()  # by the newest gate that asked them
    idle_versions: Mapping[int, int] = field(default_factory=dict)
    start: Start | None = None  # of a quick lesson; None begins with the pristine base


@dataclass(frozen=True)
class Choice:
    """What a lesson does with the examples, by id."""

    trained: frozenset[int]
    judged: frozenset[int]
    # How often in the lesson those are seen that the adapter which is gone on from knows.
    reviews: Mapping[int, int] = field(default_factory=dict)


def start_of(store: Store, mode: Mode, active: Active) -> Start | None:
    """Where a lesson begins. An adapter that knows what is no longer taught (a forgotten or a
    superseded example) is never gone on from: only the pristine base unlearns."""
    if mode is not Mode.QUICK or not active.version:
        return None
    if store.versions.holds_forgotten(active.version) or store.examples.outdated(active):
        return None
    manifest = store.versions.get(active.version).manifest
    recipe = manifest["job"]["recipe"]
    # As it was merged: a version of a weaker rung is gone on from at its own effect.
    return Start(
        version=active.version,
        rank=recipe["rank"],
        alpha=recipe["alpha"] * manifest["scale"],
        target_modules=recipe.get("target_modules", ()),
        use_rslora=recipe.get("use_rslora", False),
        use_dora=recipe.get("use_dora", False),
    )


def situation_of(store: Store, mode: Mode, active: Active) -> Situation:
    """What the store knows, for a lesson on the base of `active`."""
    newest = store.verdicts.newest_of()
    trained = store.versions.last_trained(active.base)
    new = frozenset(example.id for example in store.examples.waiting(active))
    return Situation(
        examples=store.examples.ready(),
        new=new,
        wrong=frozenset(i for i, found in newest.items() if found is not Verdict.LEARNED),
        idle_versions={i: max(active.version - number, 0) for i, number in trained.items()},
        start=start_of(store, mode, active),
    )


def choose(
    situation: Situation,
    tokens: Mapping[int, int],
    config: Config,
    training: TrainingConfig,
    seed: int,
) -> Choice:
    """All examples from the pristine base; from an adapter the new ones and samples of the others.

    The pristine base knows none of them, however often former versions had learned them: all are
    taught in full there (docs/learning.md, "Many lessons").

    Args:
        tokens: of each example's question and target, where there is a start.
        training: of this lesson.
    """
    everything = frozenset(example.id for example in situation.examples)
    if situation.start is None:
        return Choice(everything, everything)
    earlier = _earlier(situation, tokens)
    budget = config.learning.quick_sample_tokens
    wrong = sample([example for example in earlier if example.wrong], budget, seed)
    learned = (situation.new & everything).union(wrong)
    reviews = _reviews(
        [example for example in earlier if not example.wrong],
        budget - sum(tokens[number] for number in wrong),
        len(learned),
        config.learning.repeats,
        training,
        seed,
    )
    one_each = dict.fromkeys(everything, 1)
    asked = sample(_earlier(situation, one_each), config.gate.quick_earlier, seed)
    return Choice(
        trained=learned.union(reviews),
        judged=(situation.new & everything).union(asked),
        reviews=reviews,
    )


def _reviews(
    known: Sequence[Earlier],
    budget: int,
    learned: int,
    repeats: int,
    training: TrainingConfig,
    seed: int,
) -> Mapping[int, int]:
    """How often each is seen: within so many tokens, or as often as fills a short lesson, and no
    more often than what is learned."""
    if not known or not budget:
        return {}
    cost = sum(example.cost for example in known) / len(known)
    slots, places = learned * repeats, len(known) * repeats
    epochs, count = extent(slots, places, int(budget / cost), training.epochs, least_rows(training))
    return sample(known, max(budget, round(count * cost)), seed, most=epochs * repeats)


def _earlier(situation: Situation, costs: Mapping[int, int]) -> list[Earlier]:
    return [
        Earlier(
            id=example.id,
            weight=example.weight,
            cost=costs[example.id],
            wrong=example.id in situation.wrong,
            idle_versions=situation.idle_versions.get(example.id, 0),
        )
        for example in situation.examples
        if example.id not in situation.new
    ]
