"""How often each example is seen in an epoch, and in which order. Knows weights, no contents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

#: Index of an example, index of one of its phrasings.
Visit = tuple[int, int]


def quotas(weights: Sequence[int], slots: int) -> list[int]:
    """Visits of each example in one epoch: proportional to weight, at least one each.

    The largest-remainder method (Hamilton's) on what is left after those whose share is below
    one have got their one; ties go to the earlier example. All weights are at least 1.

    Returns:
        One number for each weight; together max(slots, len(weights)), if there are any.
    """
    shares = [1] * len(weights)
    rest = list(range(len(weights)))
    slots = max(slots, len(weights))
    while True:
        total = sum(weights[i] for i in rest)
        free = slots - (len(weights) - len(rest))
        above = [i for i in rest if weights[i] * free >= total]
        if len(above) == len(rest):
            break
        rest = above
    for i in rest:
        shares[i] = weights[i] * free // total
    by_remainder = sorted(rest, key=lambda i: -(weights[i] * free % total))
    for i in by_remainder[: slots - sum(shares)]:
        shares[i] += 1
    return shares


def with_reviews(
    weights: Sequence[int], reviews: Sequence[int], repeats: int, epochs: int
) -> list[list[int]]:
    """The quotas of each epoch: `repeats` on average for what is learned, in every epoch; the
    reviews of what is known already are spread over the epochs.

    Args:
        reviews: how often in the whole lesson; 0 for what is learned.
    """
    learning = [weight for weight, kept in zip(weights, reviews, strict=True) if not kept]
    full = iter(quotas(learning, len(learning) * repeats))
    learned = [0 if kept else next(full) for kept in reviews]
    result = [list(learned) for _ in range(epochs)]
    for example, count in enumerate(reviews):
        # One begins where another ends, so that no epoch has many more of them than the next.
        first = example / len(reviews)
        for number in range(count):
            result[int((number + first) * epochs / count)][example] += 1
    return result


def schedule(quotas: Sequence[Sequence[int]], phrasing_count: int, seed: int) -> list[list[Visit]]:
    """The visits of each epoch, in order.

    Args:
        quotas: for each epoch, how often it visits each example.

    An example begins with phrasing 0, and each further visit, also in the next epoch, takes the
    next phrasing, so that repeats are not copies and all phrasings get used. Its visits are
    spread over the epoch, and next to each other only where nothing else could come between.
    """
    random = Random(seed)
    order = [_apart(_spread(epoch, random), random) for epoch in quotas]
    visited: Counter[int] = Counter()
    result: list[list[Visit]] = []
    for epoch in order:
        visits: list[Visit] = []
        for example in epoch:
            visits.append((example, visited[example] % phrasing_count))
            visited[example] += 1
        result.append(visits)
    return result


def _spread(quotas: Sequence[int], random: Random) -> list[int]:
    """Each example once in each of as many equal parts of the epoch as its quota.

    Half of the place inside a part is the example's own, which keeps its visits at least half a
    part from each other; the other half is drawn anew, which changes its neighbours.
    """
    places: list[tuple[float, int]] = []
    for example, quota in enumerate(quotas):
        own = random.random()
        places += [((n + (own + random.random()) / 2) / quota, example) for n in range(quota)]
    return [example for _, example in sorted(places)]


def _apart(order: Sequence[int], random: Random) -> list[int]:
    """The same visits without equal neighbours, as far as that is possible."""
    placed: list[int] = []
    held: list[int] = []
    for example in order:
        (held if placed and placed[-1] == example else placed).append(example)
    while held:
        unplaced = [example for example in held if not _insert(placed, example, random)]
        if len(unplaced) == len(held):
            return placed + held
        held = unplaced
    return placed


def _insert(placed: list[int], example: int, random: Random) -> bool:
    """Put `example` between two others, at a random place; False where there is none."""
    start = random.randrange(len(placed) + 1)
    for place in (*range(start, len(placed) + 1), *range(start)):
        if example not in placed[max(place - 1, 0) : place + 1]:
            placed.insert(place, example)
            return True
    return False
