"""Which earlier examples are seen again: within the budget, the wrong first, none for ever last."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shammah.feedback.rehearsal import Earlier, extent, sample


def earlier(
    number: int, weight: int = 1, cost: int = 10, wrong: bool = False, idle_versions: int = 0
) -> Earlier:
    return Earlier(number, weight, cost, wrong, idle_versions)


def shares(examples: list[Earlier], draws: int = 400) -> Counter[int]:
    """How often each is the one that is drawn."""
    return Counter(next(iter(sample(examples, 10, seed))) for seed in range(draws))


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(1, 60), st.booleans()), max_size=40),
    st.integers(0, 500),
    st.integers(0, 9),
)
def test_a_sample_keeps_to_its_budget_and_leaves_out_only_what_does_not_fit(
    drawn: list[tuple[int, int, bool]], budget: int, seed: int
) -> None:
    examples = [
        earlier(number, weight, cost, wrong) for number, (weight, cost, wrong) in enumerate(drawn)
    ]
    chosen = sample(examples, budget, seed)
    costs = {example.id: example.cost for example in examples}
    spent = sum(costs[number] for number in chosen)
    assert set(chosen.values()) <= {1}
    assert spent <= budget
    left_out = costs.keys() - set(chosen)
    assert all(costs[number] > budget - spent for number in left_out)


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    examples = [earlier(number) for number in range(50)]
    assert sample(examples, 100, seed=3) == sample(examples, 100, seed=3)
    assert sample(examples, 100, seed=3) != sample(examples, 100, seed=4)


def test_the_wrong_ones_come_first_whatever_they_weigh() -> None:
    examples = [earlier(number, weight=1000) for number in range(9)] + [earlier(9, wrong=True)]
    assert all(list(sample(examples, 10, seed)) == [9] for seed in range(50))


def test_the_heavier_is_drawn_more_often_and_the_lighter_too() -> None:
    drawn = shares([earlier(0, weight=10), earlier(1, weight=1)])
    assert drawn[0] > 5 * drawn[1] > 0


def test_what_no_lesson_has_seen_for_long_is_drawn_more_often() -> None:
    drawn = shares([earlier(0), earlier(1, idle_versions=9)])
    assert drawn[1] > 5 * drawn[0] > 0


def test_what_is_left_of_the_budget_is_spent_on_the_first_ones_again() -> None:
    examples = [earlier(number) for number in range(4)]
    seen = sample(examples, 100, seed=0, most=3)
    assert list(seen.values()) == [3, 3, 2, 2]
    assert sample(examples, 1000, seed=0, most=3) == dict.fromkeys(range(4), 3)


@given(st.integers(0, 200), st.integers(0, 500), st.integers(0, 60), st.integers(1, 5))
def test_a_lesson_is_as_long_as_asked_and_reviews_nothing_twice_in_an_epoch(
    slots: int, known: int, wanted: int, least_epochs: int
) -> None:
    epochs, reviews = extent(slots, known, wanted, least_epochs, rows=120)
    assert epochs >= least_epochs
    assert reviews <= epochs * known
    assert epochs * slots + reviews >= 120 or not slots + known
    if epochs > least_epochs:  # one epoch less would not do
        assert (epochs - 1) * (slots + known) < 120


def test_a_lesson_costs_the_same_whatever_came_before_and_a_short_one_is_filled_with_reviews() -> (
    None
):
    new = {"slots": 40, "reviews": 50, "epochs": 3, "rows": 120}
    assert extent(places=10, **new) == (3, 30)
    assert extent(places=20, **new) == extent(places=2000, **new) == (3, 50)
    alone = {**new, "slots": 4}
    assert extent(places=40, **alone) == extent(places=2000, **alone) == (3, 108)
    assert extent(places=0, **alone) == (30, 0)
