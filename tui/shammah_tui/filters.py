"""What a line of words and `field:value` pairs selects; pure, knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Filter(Generic[Thing]):
    """Reads filters on things of one kind."""

    fields: Mapping[str, Callable[[Thing], str]]  # the value of each field, in lower case
    text: Callable[[Thing], str]  # what the words are looked for in

    def matching(self, typed: str) -> Callable[[Thing], bool]:
        """Whether a thing has every word and, of every field that is named, one of its values.

        A value may be the beginning of one: `status:r` finds what is ready.
        """
        words: list[str] = []
        wanted: dict[str, list[str]] = {}
        for part in typed.casefold().split():
            name, colon, value = part.partition(":")
            if colon and name in self.fields:
                wanted.setdefault(name, []).append(value)
            else:
                words.append(part)

        def matches(thing: Thing) -> bool:
            if not all(
                self.fields[name](thing).startswith(tuple(values))
                for name, values in wanted.items()
            ):
                return False
            return not words or _has_all(self.text(thing).casefold(), words)

        return matches


def cycled(typed: str, field: str, values: list[str]) -> str:
    """`typed` with the next value of a field: of the first after none, of none after the last."""
    parts = typed.split()
    now = next((part for part in parts if part.startswith(f"{field}:")), None)
    rest = [part for part in parts if part != now]
    position = (
        values.index(now.split(":", 1)[1]) + 1 if now and now.split(":", 1)[1] in values else 0
    )
    if position < len(values):
        rest.append(f"{field}:{values[position]}")
    return " ".join(rest)


def _has_all(text: str, words: list[str]) -> bool:
    return all(word in text for word in words)
