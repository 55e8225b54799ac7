"""The settings as their user sees them: what each means, may be, is, and where that comes from.

Knows config.toml and the environment; does not know who reads a setting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import tomlkit
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from shammah import config
from shammah.config import Config

Source = Literal["default", "file", "environment"]


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
            description=info.description or "",
            limits=_limits(info),
            choices=_choices(info.annotation),
            default=defaults[key],
            value=resolved[key],
            source=_source(key, written),
        )
        for key, info in _fields()
    ]


def values(resolved: Config) -> dict[str, Any]:
    """Every value by its key."""
    return {
        key: getattr(getattr(resolved, key.split(".")[0]), key.split(".")[1])
        for key, _ in _fields()
    }


def text(value: Any) -> str:
    """A value as `config set` takes it."""
    if isinstance(value, str):
        return value
    return str(tomlkit.item(value).as_string())


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for section, field in Config.model_fields.items():
        for name, info in field.annotation.model_fields.items():  # type: ignore[union-attr]
            yield f"{section}.{name}", info


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
    if get_origin(annotation) is list:
        return _choices(get_args(annotation)[0])
    return []
