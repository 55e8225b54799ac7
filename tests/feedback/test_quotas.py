"""Visits follow weights, use all phrasings, and keep apart."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.feedback.quotas import quotas, schedule, with_reviews

weights_lists = st.lists(st.integers(1, 1000), min_size=1, max_size=40)
quota_lists = st.lists(st.integers(1, 12), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("weights", "slots", "shares"),
    [
        ([10, 3, 1], 14, [10, 3, 1]),
        ([10, 3, 1], 28, [20, 6, 2]),
        ([1, 1, 1], 4, [2, 1, 1]),
        ([1000, 1, 1], 10, [8, 1, 1]),
        ([10, 10, 3], 8, [4, 3, 1]),
        ([5, 5], 0, [1, 1]),
        ([], 7, []),
    ],
)
def test_shares_by_the_largest_remainder(weights: list[int], slots: int, shares: list[int]) -> None:
    assert quotas(weights, slots) == shares


@given(weights_lists, st.integers(0, 500))
def test_all_slots_are_given_and_none_goes_without(weights: list[int], slots: int) -> None:
    shares = quotas(weights, slots)
    assert sum(shares) == max(slots, len(weights))
    assert min(shares) >= 1


@given(weights_lists, st.integers(0, 500))
def test_more_weight_never_gets_less(weights: list[int], slots: int) -> None:
    by_weight = sorted(zip(weights, quotas(weights, slots), strict=True))
    for (light, small), (heavy, large) in pairwise(by_weight):
        assert small <= large or light == heavy


@given(weights_lists, st.integers(1, 20))
def test_a_share_is_within_one_of_its_exact_value_where_none_is_below_one(
    weights: list[int], factor: int
) -> None:
    slots = factor * -(-sum(weights) // min(weights))
    exact = [weight * slots / sum(weights) for weight in weights]
    assert all(abs(a - b) < 1 for a, b in zip(quotas(weights, slots), exact, strict=True))


@given(quota_lists, st.integers(1, 5), st.integers(1, 8), st.integers(0, 9))
def test_each_epoch_visits_each_example_as_often_as_its_quota(
    shares: list[int], epochs: int, phrasing_count: int, seed: int
) -> None:
    made = schedule([shares] * epochs, phrasing_count, seed)
    assert len(made) == epochs
    for epoch in made:
        assert Counter(example for example, _ in epoch) == dict(enumerate(shares))


@given(quota_lists, st.integers(1, 5), st.integers(1, 8), st.integers(0, 9))
def test_phrasings_are_used_evenly_from_the_first_on(
    shares: list[int], epochs: int, phrasing_count: int, seed: int
) -> None:
    made = schedule([shares] * epochs, phrasing_count, seed)
    for example in range(len(shares)):
        used = [phrasing for epoch in made for one, phrasing in epoch if one == example]
        assert used == [visit % phrasing_count for visit in range(len(used))]


@given(quota_lists, st.integers(1, 3), st.integers(0, 99))
def test_equal_neighbours_are_as_few_as_possible(shares: list[int], epochs: int, seed: int) -> None:
    most = max(shares)
    unavoidable = max(0, most - 1 - (sum(shares) - most))
    for epoch in schedule([shares] * epochs, 4, seed):
        assert sum(a == b for (a, _), (b, _) in pairwise(epoch)) == unavoidable


@given(st.integers(0, 99))
def test_visits_of_an_example_are_spread_over_the_epoch(seed: int) -> None:
    [epoch] = schedule([[4] * 10], phrasing_count=4, seed=seed)
    for example in range(10):
        places = [place for place, (one, _) in enumerate(epoch) if one == example]
        assert [place // 10 for place in places] == [0, 1, 2, 3]


def test_the_seed_decides_the_order() -> None:
    shares = [[3, 2, 1, 4]] * 3
    assert schedule(shares, 4, seed=1) == schedule(shares, 4, seed=1)
    assert schedule(shares, 4, seed=1) != schedule(shares, 4, seed=2)
    first, second, _ = schedule(shares, 1, seed=1)
    assert first != second


def test_what_is_reviewed_takes_no_visit_from_what_is_learned() -> None:
    assert with_reviews([10, 10, 10], [0, 1, 0], repeats=4, epochs=1) == [[4, 1, 4]]
    assert with_reviews([10, 3, 1], [1, 0, 0], repeats=4, epochs=1) == [[1, 6, 2]]
    assert with_reviews([10, 3], [2, 1], repeats=4, epochs=2) == [[1, 0], [1, 1]]


@given(st.integers(1, 12), st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_reviews_are_as_many_as_said_and_spread_over_the_epochs(
    epochs: int, reviews: list[int]
) -> None:
    made = with_reviews([1] * len(reviews), reviews, repeats=4, epochs=epochs)
    for example, count in enumerate(reviews):
        seen = [epoch[example] for epoch in made]
        assert sum(seen) == (count or 4 * epochs)
        assert max(seen) - min(seen) <= 1


@given(st.integers(2, 6), st.integers(10, 60))
def test_each_epoch_gets_its_part_of_the_reviews(epochs: int, examples: int) -> None:
    made = with_reviews([1] * examples, [1] * examples, repeats=4, epochs=epochs)
    assert max(map(sum, made)) - min(map(sum, made)) <= 1
