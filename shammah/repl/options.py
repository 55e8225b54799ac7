"""How answers are sampled in one chat, as `/set` sets it. Knows no daemon."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from shammah.completions import ChatRequest
from shammah.errors import UsageError
from shammah.invalid import first_fault

#: What can be set, and what it means; config.toml has the lasting values of the first three.
MEANINGS = {
    "temperature": "0 always takes the likeliest word; more is freer",
    "top_p": "only the likeliest words, up to this share",
    "max_tokens": "the longest answer",
    "seed": "the same seed gives the same answer again",
}

_ANY = [{"role": "user", "content": ""}]


def value_of(name: str, text: str) -> float | int | None:
    """The value that `text` stands for; None for `-`, which takes it back.

    Raises:
        UsageError: no such option, or not a value of it.
    """
    if name not in MEANINGS:
        raise UsageError(
            f"there is no option {name!r}",
            hint=f"one of {', '.join(MEANINGS)}; 'shammah config list' has the lasting ones",
        )
    if text == "-":
        return None
    try:
        request = ChatRequest.model_validate({"messages": _ANY, name: text})
    except ValidationError as error:
        raise UsageError(f"{name} = {text!r}: {first_fault(error).message}") from None
    value: float | int = getattr(request, name)
    return value


def lines(options: Mapping[str, float | int], defaults: Mapping[str, object]) -> str:
    """Every option with its value; one that is not set shows what the daemon takes."""
    rows = [
        (name, str(options[name]) if name in options else f"({defaults.get(name, 'random')})")
        for name in MEANINGS
    ]
    return "\n".join(f"{name:<13}{value:<10}{MEANINGS[name]}" for name, value in rows)
