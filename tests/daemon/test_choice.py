"""What a lesson trains on and what its judge asks, in either mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shammah.config import Config, GateConfig, LearningConfig
from shammah.options import TrainingConfig
from shammah.records import (
    Active,
    Example,
    ExampleStatus,
    Judgement,
    Level,
    Message,
    Mode,
    Verdict,
)
from shammah.store.database import Store
from shammah_daemon.choice import Situation, Start, choose, situation_of, start_of
from tests.store.filling import BASE, Filler

START = Start(version=1, rank=8, alpha=16)
CONFIG = Config(
    learning=LearningConfig(quick_sample_tokens=100), gate=GateConfig(quick_earlier=4)
)  # fmt: skip


def example(number: int) -> Example:
    return Example(
        id=number, turn_id="", feedback_id=number, status=ExampleStatus.READY,
        level=Level.CRITICAL, weight=10, messages=[Message(role="user", content="Which port?")],
        target="Port 7443.", rejected=None, note=None, created_at="", updated_at="",
    )  # fmt: skip


def situation(count: int, new: range, **known: object) -> Situation:
    return replace(
        Situation([example(i) for i in range(count)], new=frozenset(new)),
        **known,  # type: ignore[arg-type]
    )


def test_from_the_base_everything_is_trained_in_full_and_judged() -> None:
    chosen = choose(situation(50, range(40, 50)), {}, CONFIG, TrainingConfig(), seed=0)
    assert chosen.trained == chosen.judged == frozenset(range(50))
    assert chosen.reviews == {}  # the base knows none of them


@pytest.mark.parametrize("history", [50, 500])
def test_a_quick_lesson_costs_the_same_whatever_came_before(history: int) -> None:
    new = range(history, history + 10)
    tokens = dict.fromkeys(range(history + 10), 20)
    chosen = choose(
        situation(history + 10, new, start=START), tokens, CONFIG, TrainingConfig(), seed=0
    )
    assert chosen.trained >= set(new)
    assert len(chosen.trained) == 10 + 100 // 20
    assert len(chosen.judged) == 10 + 4
    assert chosen.reviews == dict.fromkeys(chosen.trained - set(new), 1)


def test_a_single_new_example_is_held_by_reviews_not_by_more_visits() -> None:
    known = situation(40, range(39, 40), start=START)
    chosen = choose(known, dict.fromkeys(range(40), 20), CONFIG, TrainingConfig(), seed=0)
    assert sum(chosen.reviews.values()) == 30 * 4 - 3 * 4  # the shortest lesson, less its slots
    assert set(chosen.reviews.values()) == {2, 3}


def test_without_a_sample_nothing_is_reviewed() -> None:
    config = Config(learning=LearningConfig(quick_sample_tokens=0))
    known = situation(40, range(39, 40), start=START)
    chosen = choose(known, dict.fromkeys(range(40), 20), config, TrainingConfig(), seed=0)
    assert (chosen.trained, chosen.reviews) == (frozenset({39}), {})


def test_an_earlier_example_that_is_wrong_is_learned_again_in_full() -> None:
    known = situation(10, range(9, 10), start=START, wrong=frozenset({3, 9}))
    chosen = choose(known, dict.fromkeys(range(10), 50), CONFIG, TrainingConfig(), seed=0)
    assert 3 in chosen.trained
    assert 3 not in chosen.reviews
    assert 3 in chosen.judged


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path / "shammah.db")) as store:
        store.pointer.move(Active(BASE, 0))
        yield store


@pytest.fixture
def promote(store: Store) -> Callable[..., int]:
    """Promotes a version that was taught some examples, with a verdict on each."""

    def promote(
        *examples: Example,
        inherited: tuple[int, ...] = (),
        verdict: Verdict = Verdict.LEARNED,
        scale: float = 1.0,
    ) -> int:
        candidate = replace(
            Filler(store).candidate(),
            manifest={"job": {"recipe": {"rank": 8, "alpha": 16}}, "scale": scale},
        )
        taught = {one.id: one.content_hash for one in examples}
        judged = [Judgement(one.id, verdict) for one in examples]
        store.promote(candidate, taught, judged, inherited)
        return candidate.number

    return promote


def test_only_a_version_has_an_adapter_to_go_on_from(
    store: Store, promote: Callable[..., int]
) -> None:
    assert start_of(store, Mode.QUICK, Active(BASE, 0)) is None
    number = promote(Filler(store).example())
    assert start_of(store, Mode.QUICK, Active(BASE, number)) == START
    assert start_of(store, Mode.CONSOLIDATE, Active(BASE, number)) is None


def test_a_version_that_was_merged_weaker_is_gone_on_from_at_its_own_effect(
    store: Store, promote: Callable[..., int]
) -> None:
    number = promote(Filler(store).example(), scale=0.75)
    start = start_of(store, Mode.QUICK, Active(BASE, number))
    assert start == Start(version=number, rank=8, alpha=12)


def test_an_adapter_that_knows_a_forgotten_example_is_not_gone_on_from(
    store: Store, promote: Callable[..., int]
) -> None:
    kept, forgotten = (Filler(store).example(turn) for turn in ("kept", "forgotten"))
    number = promote(kept, forgotten)
    store.examples.set_status(forgotten.id, ExampleStatus.FORGOTTEN)
    assert start_of(store, Mode.QUICK, Active(BASE, number)) is None


def test_the_history_tells_what_is_wrong_and_long_unseen(
    store: Store, promote: Callable[..., int]
) -> None:
    steady, shaky = (Filler(store).example(turn) for turn in ("steady", "shaky"))
    promote(steady, shaky)
    number = promote(steady, shaky, inherited=(shaky.id,))
    known = situation_of(store, Mode.QUICK, Active(BASE, number))
    assert known.idle_versions == {steady.id: 0, shaky.id: 1}
    number = promote(shaky, verdict=Verdict.STILL_WRONG)
    known = situation_of(store, Mode.QUICK, Active(BASE, number))
    assert known.wrong == {shaky.id}
    assert known.new == {steady.id}  # it is no longer taught


def test_a_corrected_correction_is_new_again(store: Store, promote: Callable[..., int]) -> None:
    taught = Filler(store).example()
    number = promote(taught)
    assert situation_of(store, Mode.CONSOLIDATE, Active(BASE, number)).new == frozenset()
    store.examples.set_target(taught.id, "Port 7444.")
    assert situation_of(store, Mode.CONSOLIDATE, Active(BASE, number)).new == {taught.id}
