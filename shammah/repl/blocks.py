"""Questions of many lines between three quotes; knows no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_QUOTES = '"""'


def is_open(text: str) -> bool:
    """Whether a block was begun and not ended."""
    begun = text.lstrip()
    return begun.startswith(_QUOTES) and _QUOTES not in begun[len(_QUOTES) :]


def unquoted(text: str) -> str:
    """What stands inside the quotes, and behind them; any other text as it is."""
    stripped = text.strip()
    if not stripped.startswith(_QUOTES):
        return text
    inside, _, behind = stripped[len(_QUOTES) :].partition(_QUOTES)
    return f"{inside.strip()}\n{behind.strip()}".strip()


def joined(lines: Iterable[str]) -> Iterator[str]:
    """The lines, those of a block as one; a block that never ends, ends with the input."""
    block = ""
    for line in lines:
        block = f"{block}\n{line}" if block else line
        if not is_open(block):
            yield block
            block = ""
    if block:
        yield block
