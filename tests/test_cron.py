"""Cron expressions: what is refused, and with which words."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from shammah import config, cron
from shammah.errors import ConfigError


def test_the_next_time_is_after_the_given_one_even_if_that_is_a_time_itself() -> None:
    three = datetime(2026, 3, 29, 3)
    assert cron.next_after("0 3 * * *", three) == datetime(2026, 3, 30, 3)
    assert cron.next_after("0 3 * * *", three.replace(hour=2)) == three


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("tonight", "Wrong number of fields; got 1, expected 5"),
        ("0 25 * * *", "higher than the maximum value (23)"),
        ("0 3 31 2 *", "a date that never comes"),
        ("0 3 * * 0", "name the days of the week"),
        ("0 3 * * mon,5", "name the days of the week"),
    ],
)
def test_what_is_no_time_is_refused_when_it_is_set(
    tmp_path: Path, expression: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=r"learning\.consolidate_at = ") as error:
        config.set_value(tmp_path / "config.toml", "learning.consolidate_at", expression)
    assert problem in error.value.message
    assert not (tmp_path / "config.toml").exists()


@pytest.mark.parametrize("expression", ["", "30 4 * * *", "0 */6 * * mon-fri", "0 3 29 2 mon"])
def test_a_time_or_never_is_taken(tmp_path: Path, expression: str) -> None:
    path = tmp_path / "config.toml"
    assert config.set_value(path, "learning.consolidate_at", expression) == expression
