"""What the engine child is asked for; plain values that cross its stdin as JSON lines.

Requests carry a number chosen by the asker, and every answer repeats it:

    > {"id": 1, "op": "load", "context": 0, "path": "...", "context_tokens": 4096, ...}
    < {"id": 1, "event": "done", ...}
    > {"id": 2, "op": "generate", "context": 0, "prompt": [1, 2, 3], "max_tokens": 64, ...}
    < {"id": 2, "event": "text", "text": "Hel"}
    < {"id": 2, "event": "done", "finish_reason": "stop", ...}
    > {"op": "cancel", "target": 2}
    < {"id": 3, "event": "error", "type": "EngineError", "message": "...", "hint": "..."}

`context` is the number of the context that is meant, see `Engine.beside`. Knows no llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shammah.errors import ShammahError


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. Temperature 0 is greedy."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: list[str] = field(default_factory=list)
    score: bool = False  # also tell the mean NLL of the tokens drawn, the end of turn included
    frequency_penalty: float = 0.0  # taken off a token's logit for each time it was drawn before
    presence_penalty: float = 0.0  # taken off once
    grammar: str = ""  # GBNF that the answer must match; empty: anything


@dataclass(frozen=True)
class Generate:
    """An answer to `prompt` (token ids)."""

    id: int
    prompt: list[int]
    sampling: Sampling
    watched: bool = True  # somebody reads along: no other work may make its tokens wait long


@dataclass(frozen=True)
class ScoreRow:
    """How likely `target` is after `prompt` (token ids)."""

    prompt: list[int]
    target: list[int]
    at: list[list[int]] | None = None  # per target position: ids whose log-probabilities are wanted


@dataclass(frozen=True)
class Score:
    """Per row: NLL of each target token, and the `top` likeliest tokens of each position."""

    id: int
    rows: list[ScoreRow]
    top: int = 0


def error_message(number: int | None, error: ShammahError) -> dict[str, Any]:
    """The answer to request `number` that failed."""
    return {
        "id": number,
        "event": "error",
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
    }


def parse_generate(message: dict[str, Any]) -> Generate:
    return Generate(
        message["id"], message["prompt"], Sampling(**message["sampling"]), message["watched"]
    )


def parse_score(message: dict[str, Any]) -> Score:
    rows = [ScoreRow(**row) for row in message["rows"]]
    return Score(message["id"], rows, message.get("top", 0))
