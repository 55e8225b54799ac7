"""The keys of a page or of the whole monitor as a table, from their bindings; knows no widget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType
from textual.keys import key_to_character


@dataclass(frozen=True)
class Key:
    """A key and what it does."""

    shown: str  # `Ctrl+S`
    does: str


def keys_of(bindings: Iterable[BindingType]) -> list[Key]:
    """What each binding's tooltip says, or else its description."""
    return [
        Key(_shown(one), one.tooltip or one.description)
        for one in bindings
        if isinstance(one, Binding) and one.description
    ]


def _shown(binding: Binding) -> str:
    if binding.key_display:
        return binding.key_display
    return ", ".join(_name(key) for key in binding.key.split(","))


def _name(key: str) -> str:
    """`Ctrl+S`, `F1`, `/`, `t`: a capital letter only where Shift is held."""
    *modifiers, last = key.split("+")
    character = key_to_character(last)
    name = character if character and character.isprintable() and character != " " else last.title()
    return "+".join([*(modifier.title() for modifier in modifiers), name])
