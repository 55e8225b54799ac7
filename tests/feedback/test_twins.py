"""Which questions are nearly the same, and which only look so."""

from __future__ import annotations

import itertools
import random
from time import perf_counter

import pytest

from shammah.feedback.twins import Asked, all_twins, asked, say_the_same, twins_of
from shammah.records import Message


def question(text: str, example_id: int = 1, *before: Message) -> Asked:
    return asked(example_id, [*before, Message(role="user", content=text)])


def are_twins(one: str, other: str) -> bool:
    first, second = question(one, 1), question(other, 2)
    found = twins_of(first, [second]) == [2]
    assert all_twins([first, second]) == [(1, 2)] * found  # both ways of looking agree
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which port does the admin API listen on?", "which port does admin API listen on"),
        ("What's the wi-fi called?", "Please, what's the WiFi called?"),
        ("Which color is our logo?", "Which colour is our logo?"),
        ("Who maintains the parser?", "Who maintain the parser?"),
    ],
)
def test_questions_that_are_nearly_the_same(one: str, other: str) -> None:
    assert are_twins(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which port does the admin API listen on?", "Which port does the user API listen on?"),
        ("What do we do about case 1 then?", "What do we do about case 2 then?"),
        ("Which is the train from Bern to Basel?", "Which is the train from Basel to Bern?"),
        ("When does the shop open?", "Where does the shop open?"),
        ("What is my name?", "What is your name?"),
        ("May I park here?", "May I not park here?"),
        ("How old is Marie?", "How old is Maria?"),
        ("Does server2b run?", "Does server2c run?"),
        ("Who was the mayor?", "Who is the mayor?"),
        ("a + b?", "a - b?"),
    ],
)
def test_questions_that_only_look_alike(one: str, other: str) -> None:
    assert not are_twins(one, other)


def test_another_context_is_another_question() -> None:
    first = question("And the second?", 1, Message(role="user", content="Which rivers?"))
    second = question("And the second?", 2, Message(role="user", content="Which towns?"))
    assert not twins_of(first, [second])
    assert not all_twins([first, second])


def test_an_example_is_not_its_own_twin() -> None:
    assert twins_of(question("Why?", 1), [question("Why?", 1)]) == []


def test_of_many_in_the_same_words_each_is_paired_with_the_next() -> None:
    many = [question("Why is that so?", number) for number in (3, 1, 2)]
    assert all_twins(many) == [(1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Port 7443.", "port 7443", True),
        ("Port  7443.", "Port 7444.", False),
        ("Use a - b.", "Use a + b.", False),
    ],
)
def test_targets_are_the_same_but_for_capitals_spaces_and_the_stop(
    one: str, other: str, same: bool
) -> None:
    assert say_the_same(one, other) is same


def test_all_at_once_finds_what_one_by_one_finds() -> None:
    words = [
        "north",
        "northern",
        "gate",
        "gates",
        "opens",
        "open",
        "colour",
        "color",
        "bridge",
        "bridges",
        "seven",
        "7",
        "70",
    ]
    draw = random.Random(0)
    texts = sorted({" ".join(draw.choices(words, k=draw.randint(1, 4))) for _ in range(400)})
    questions = [question(text, number) for number, text in enumerate(texts)]
    expected = [
        (one.example_id, other.example_id)
        for one, other in itertools.combinations(questions, 2)
        if twins_of(one, [other])
    ]
    assert expected
    assert all_twins(questions) == expected


def test_ten_thousand_questions_are_compared_in_seconds() -> None:
    """The worst case: a template in which only a name differs."""
    draw = random.Random(0)
    names = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(5000)]
    questions = [
        *(question(f"Who leads the {name} team?", number) for number, name in enumerate(names)),
        *(question(f"What is case {number}?", 5000 + number) for number in range(5000)),
    ]
    begin = perf_counter()
    all_twins(questions)
    assert perf_counter() - begin < 10
    begin = perf_counter()
    twins_of(question("Who leads the zebra team?", 10_000), questions)
    assert perf_counter() - begin < 0.5
