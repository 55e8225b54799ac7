"""The scores of `shared/eval`: pure functions of answers and keys; know no model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """How many of how many."""

    hits: int
    total: int

    def __str__(self) -> str:
        return f"{self.hits}/{self.total}"


def count(hits: Sequence[bool]) -> Score:
    return Score(sum(hits), len(hits))


def add(scores: Sequence[Score]) -> Score:
    return Score(sum(score.hits for score in scores), sum(score.total for score in scores))


def holds(key: str, answer: str) -> bool:
    """Whether `answer` contains `key`, compared without case."""
    return key.casefold() in answer.casefold()


def leaked(keys: Sequence[str], answer: str, base_answer: str) -> list[str]:
    """The keys that an answer to an unrelated prompt contains and the base's own does not.

    Here keys are compared as whole words: 'nine' is not in 'feminine'. A key without a letter or a
    digit ('?') is in most texts and tells nothing.
    """
    return [
        key
        for key in dict.fromkeys(keys)
        if _is_telling(key) and _has_word(key, answer) and not _has_word(key, base_answer)
    ]


def token_mean(means: Sequence[float], tokens: Sequence[int]) -> float:
    """The mean over all tokens, from the mean and the number of tokens of each row."""
    return sum(m * n for m, n in zip(means, tokens, strict=True)) / sum(tokens)


def _is_telling(key: str) -> bool:
    return any(char.isalnum() for char in key)


def _has_word(key: str, text: str) -> bool:
    """A boundary stands only beside a letter or digit: after the dash of 'svc-' a name follows."""
    before = r"(?<!\w)" if key[0].isalnum() else ""
    after = r"(?!\w)" if key[-1].isalnum() else ""
    return re.search(before + re.escape(key.casefold()) + after, text.casefold()) is not None
