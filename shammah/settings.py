"""The settings as their user sees them: what each means, may be, is, where that comes from, and
who reads it. Knows config.toml and the environment; reads no setting for itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import tomlkit
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from shammah import config
from shammah.config import Config

Source = Literal["default", "file", "environment"]
Reader = Literal["daemon", "chat"]

#: Each chat reads these when it begins; everything else the daemon reads when it starts.
_OF_THE_CHAT = frozenset({"chat.keys", "chat.theme"})


@dataclass(frozen=True)
class Setting:
    """One key of the configuration."""

    key: str  # `section.name`
    description: str
    limits: str  # "1 to 64", "at least 0"; empty where any value of the type will do
    choices: list[str]
    default: Any
    value: Any  # what a program that starts now works with
    source: Source
    read_by: Reader


def settings(path: Path) -> list[Setting]:
    """Every setting, as config.toml at `path` and the environment have it.

    Raises:
        ConfigError: see `config.load`.
    """
    resolved, defaults = values(config.load(path)), values(Config.model_construct())
    written = config.written(path)
    return [
        Setting(
            key=key,
            description=description,
            limits=_limits(_field(key)),
            choices=_choices(_field(key).annotation),
            default=defaults[key],
            value=resolved[key],
            source=_source(key, written),
            read_by=reader(key),
        )
        for key, description in config.keys().items()
    ]


def values(resolved: Config) -> dict[str, Any]:
    """Every value by its key."""
    return {
        f"{section}.{name}": value
        for section, content in resolved.model_dump().items()
        for name, value in content.items()
    }


def reader(key: str) -> Reader:
    """Who takes a new value up when it begins."""
    return "chat" if key in _OF_THE_CHAT else "daemon"


def text(value: Any) -> str:
    """A value as `config set` takes it."""
    if isinstance(value, str):
        return value
    return str(tomlkit.item(value).as_string())


def _field(key: str) -> FieldInfo:
    section, name = key.split(".", 1)
    model: Any = Config.model_fields[section].annotation
    info: FieldInfo = model.model_fields[name]
    return info


def _source(key: str, written: set[str]) -> Source:
    section, name = key.split(".", 1)
    variable = f"SHAMMAH_{section}__{name}".upper()
    if any(known.upper() == variable for known in os.environ):
        return "environment"
    return "file" if key in written else "default"


def _limits(info: FieldInfo) -> str:
    least = most = ""
    for limit in info.metadata:
        if isinstance(limit, Ge):
            least = f"at least {limit.ge}"
        elif isinstance(limit, Gt):
            least = f"more than {limit.gt}"
        elif isinstance(limit, Le):
            most = f"at most {limit.le}"
        elif isinstance(limit, Lt):
            most = f"less than {limit.lt}"
        elif isinstance(limit, MinLen):
            least = "one or more" if limit.min_length == 1 else f"{limit.min_length} or more"
    return ", ".join(filter(None, [least, most]))


def _choices(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if get_origin(annotation) is UnionType:
        return [choice for one in get_args(annotation) for choice in _choices(one)]
    if get_origin(annotation) is list:
        return _choices(get_args(annotation)[0])
    return []
