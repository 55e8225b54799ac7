"""General prompts and a base's own answers to them: the guard against forgetting. Runs no model.

`replay.jsonl` holds one JSON object a line: prompt, answer, held_out. Held-out ones are never
trained on: they are the judge's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from shammah.errors import BaseModelError
from shammah.files import write_atomically

#: Longest answer that is kept. A longer one costs training time and guards no better.
ANSWER_TOKENS = 96

#: Every so-manyth answer belongs to the judge.
HELD_OUT_EVERY = 5

#: Fewer answers guard nothing; a model that cannot end so many short answers is not a chat model.
LEAST_ANSWERS = 40


@dataclass(frozen=True)
class Replayed:
    """One of the base's own answers."""

    prompt: str
    answer: str
    held_out: bool


def prompts() -> list[str]:
    """The general prompts that ship with Shammah."""
    text = files("shammah.bases").joinpath("replay_prompts.txt").read_text(encoding="utf-8")
    return text.splitlines()


def choose(answered: Iterable[tuple[str, str, bool]]) -> list[Replayed]:
    """Of (prompt, answer, ended by itself) those that are worth replaying.

    Raises:
        BaseModelError: too few answers end by themselves.
    """
    kept = [(prompt, answer) for prompt, answer, ended in answered if ended and answer.strip()]
    if len(kept) < LEAST_ANSWERS:
        raise BaseModelError(
            f"only {len(kept)} of the base's answers to general prompts end within "
            f"{ANSWER_TOKENS} tokens; {LEAST_ANSWERS} are needed",
            hint="use an instruction-tuned model with a chat template of its own",
        )
    return [
        Replayed(prompt, answer, held_out=number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1)
        for number, (prompt, answer) in enumerate(kept)
    ]


def save(path: Path, replay: Iterable[Replayed]) -> None:
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in replay]
    write_atomically(path, "".join(lines).encode())


def load(path: Path) -> list[Replayed]:
    return [Replayed(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
