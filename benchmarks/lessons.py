"""Lessons for measuring, in the form of `shared/eval`, and how one is taught by correcting it.

Knows the daemon's client; knows no score.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shammah.client import Client
from shammah.errors import UsageError
from shammah.protocol import FeedbackReceipt
from shammah.records import Level, Message

#: Lessons of the project's own writing.
OWN = Path(__file__).parent / "lessons.json"

#: With those that only a benchmark of many lessons takes; the last are of thirteen kinds, ten of
#: each, which differ by what they are about.
ALL_OWN = (OWN, *(Path(__file__).parent / f"{name}-lessons.json" for name in ("more", "many")))

#: Questions on the subjects of the lessons that ask for something else: no lesson answers them.
_NEAR_MISSES = Path(__file__).parent / "near_misses.txt"

#: Longest answer that is asked for; the taught ones are sentences.
ANSWER_TOKENS = 128


@dataclass(frozen=True)
class Lesson:
    """One fact that no model can know, and other ways to ask for it that training never sees."""

    question: str
    answer: str
    key: str  # a right answer contains it
    near: list[str]  # other wordings of the question
    paraphrases: list[str]


def load(path: Path) -> list[Lesson]:
    """The lessons in `path`: a JSON list of {q, a, key, t, p}.

    Raises:
        UsageError: no such file, or not of that form; names the lesson.
    """
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(items, list) or not items:
        raise UsageError(f"{path} holds no list of lessons")
    return [_lesson(item, f"lesson {number} of {path}") for number, item in enumerate(items, 1)]


def near_misses() -> list[str]:
    """Questions that are like those of the lessons, and that no lesson answers."""
    return _NEAR_MISSES.read_text(encoding="utf-8").splitlines()


def _lesson(item: object, name: str) -> Lesson:
    if not isinstance(item, dict) or not {"q", "a", "key", "t", "p"} <= item.keys():
        raise UsageError(f"{name} is not an object with q, a, key, t and p")
    if not all(isinstance(item[field], str) and item[field] for field in ("q", "a", "key")):
        raise UsageError(f"q, a and key of {name} must be texts")
    for field in ("t", "p"):
        wordings = item[field]
        if not isinstance(wordings, list) or not all(isinstance(w, str) for w in wordings):
            raise UsageError(f"{field} of {name} must be a list of texts")
    return Lesson(item["q"], item["a"], item["key"], near=item["t"], paraphrases=item["p"])


def ask(client: Client, question: str) -> tuple[str, int]:
    """The greedy answer to `question` in a new conversation, and the version that gave it."""
    completion = client.chat(
        [Message(role="user", content=question)], temperature=0.0, max_tokens=ANSWER_TOKENS
    )
    return completion.choices[0].message.content, completion.shammah.version


def correct(client: Client, lesson: Lesson) -> FeedbackReceipt:
    """Ask the question, mark the answer as critical, and say what it should have been."""
    mark(client, lesson)
    return client.fix(lesson.answer)


def mark(client: Client, lesson: Lesson) -> None:
    """Ask the question and mark the answer as critical; the fix is still to come."""
    ask(client, lesson.question)
    client.feedback(Level.CRITICAL)
