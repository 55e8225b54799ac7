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

#: Answers are generated up to here. Training uses only how they begin, so that one which goes on
#: is as good a guard as one that ends.
ANSWER_TOKENS = 96

#: Every so-manyth answer belongs to the judge, if it ends: the judge also looks for endless ones.
HELD_OUT_EVERY = 5

#: A model that cannot end so many short answers is not a chat model.
LEAST_ENDED = 40


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
    """Of (prompt, answer, ended by itself) those that are worth replaying, a fifth held out.

    Raises:
        BaseModelError: too few answers end by themselves.
    """
    kept = [(prompt, answer, ended) for prompt, answer, ended in answered if answer.strip()]
    endings = [prompt for prompt, _answer, ended in kept if ended]
    if len(endings) < LEAST_ENDED:
        raise BaseModelError(
            f"only {len(endings)} of the base's answers to general prompts end within "
            f"{ANSWER_TOKENS} tokens; {LEAST_ENDED} are needed",
            hint="use an instruction-tuned model with a chat template of its own",
        )
    # Of those that end, so many and so spread that they are a fifth of all.
    wanted = min(len(kept) // HELD_OUT_EVERY, len(endings) // 2)
    held_out = {endings[i * len(endings) // wanted] for i in range(wanted)}
    return [Replayed(prompt, answer, prompt in held_out) for prompt, answer, _ended in kept]


def save(path: Path, replay: Iterable[Replayed]) -> None:
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in replay]
    write_atomically(path, "".join(lines).encode())


def load(path: Path) -> list[Replayed]:
    return [Replayed(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
