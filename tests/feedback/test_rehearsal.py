"""Which earlier examples are seen again: within the budget, the wrong first, none for ever last."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shammah.feedback.rehearsal import Earlier, sample


def earlier(
    number: int, weight: int = 1, cost: int = 10, wrong: bool = False, idle_versions: int = 0
) -> Earlier:
    return Earlier(number, weight, cost, wrong, idle_versions)


def shares(examples: list[Earlier], draws: int = 400) -> Counter[int]:
    """How often each is the one that is drawn."""
    return Counter(sample(examples, 10, seed)[0] for seed in range(draws))


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
    assert len(set(chosen)) == len(chosen)
    assert spent <= budget
    left_out = costs.keys() - set(chosen)
    assert all(costs[number] > budget - spent for number in left_out)


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    examples = [earlier(number) for number in range(50)]
    assert sample(examples, 100, seed=3) == sample(examples, 100, seed=3)
    assert sample(examples, 100, seed=3) != sample(examples, 100, seed=4)


def test_the_wrong_ones_come_first_whatever_they_weigh() -> None:
    examples = [earlier(number, weight=1000) for number in range(9)] + [earlier(9, wrong=True)]
    assert all(sample(examples, 10, seed) == [9] for seed in range(50))


def test_the_heavier_is_drawn_more_often_and_the_lighter_too() -> None:
    drawn = shares([earlier(0, weight=10), earlier(1, weight=1)])
    assert drawn[0] > 5 * drawn[1] > 0


def test_what_no_lesson_has_seen_for_long_is_drawn_more_often() -> None:
    drawn = shares([earlier(0), earlier(1, idle_versions=9)])
    assert drawn[1] > 5 * drawn[0] > 0
