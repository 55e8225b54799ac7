"""How the next lesson is to train, as it is put together on the screen; pure, knows no widget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shammah.options import PRESETS, parse
from shammah.protocol import SettingView
from shammah.records import LessonMode, Mode, Preset
from shammah.settings import text

MODES: tuple[LessonMode, ...] = (Mode.CONSOLIDATE, Mode.QUICK)

SECTION = "training."


@dataclass(frozen=True)
class Wish:
    """What was chosen, and what was typed."""

    mode: LessonMode = Mode.CONSOLIDATE
    preset: Preset = "standard"
    typed: Mapping[str, str] = field(default_factory=dict)  # by option, as in config.toml


@dataclass(frozen=True)
class Option:
    """One setting of the lesson."""

    name: str
    setting: SettingView
    usual: str  # what the preset makes of it, or else the daemon's settings
    value: str  # of this lesson

    @property
    def is_own(self) -> bool:
        return bool(parsed(self.name, self.value) != parsed(self.name, self.usual))


def options(settings: Iterable[SettingView], wish: Wish) -> list[Option]:
    """Each setting of [training] as the lesson would have it."""
    preset = PRESETS[wish.preset]
    found = []
    for setting in settings:
        name = setting.key.removeprefix(SECTION)
        usual = text(preset[name]) if name in preset else setting.running
        found.append(Option(name, setting, usual, wish.typed.get(name, usual)))
    return found


def own(found: Iterable[Option]) -> dict[str, Any]:
    """The options that the daemon has to be told: names and values."""
    return {one.name: parsed(one.name, one.value) for one in found if one.is_own}


def parsed(name: str, value: str) -> Any:
    """A value as it was typed, as the command line reads it."""
    return parse([f"{name}={value}"])[name]
