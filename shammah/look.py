"""The settings that the first prompt of a chat needs, read before all others.

Judges nothing: what it cannot read for certain, `shammah.config` reads, and says what is wrong.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Keys = Literal["emacs", "vi"]
Theme = Literal["auto", "dark", "light"]

#: Variables that may hold them; pydantic-settings does not look at the case of their letters.
_VARIABLES = frozenset({"shammah_chat", "shammah_chat__keys", "shammah_chat__theme"})


@dataclass(frozen=True)
class Look:
    """How a chat looks and reads keys: `chat.theme` and `chat.keys`, with their defaults."""

    keys: Keys = "emacs"
    theme: Theme = "auto"


def read(path: Path, environ: Mapping[str, str]) -> Look | None:
    """What config.toml at `path` (may be absent) says; None where that is not certain."""
    if not _VARIABLES.isdisjoint(name.lower() for name in environ):
        return None
    try:
        chat = tomllib.loads(path.read_text(encoding="utf-8")).get("chat", {})
    except FileNotFoundError:
        return Look()
    except (OSError, ValueError):  # TOML's and UTF-8's errors are ValueErrors
        return None
    return _look(chat) if isinstance(chat, dict) else None


def _look(chat: dict[str, Any]) -> Look | None:
    keys, theme = chat.get("keys", Look.keys), chat.get("theme", Look.theme)
    if keys in get_args(Keys) and theme in get_args(Theme):
        return Look(keys, theme)
    return None
