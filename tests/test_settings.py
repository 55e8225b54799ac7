"""The settings as their user sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shammah import config, settings
from shammah.errors import ConfigError
from shammah.settings import Setting


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def setting(file: Path, key: str) -> Setting:
    return next(one for one in settings.settings(file) if one.key == key)


def test_every_setting_has_a_meaning(file: Path) -> None:
    found = settings.settings(file)
    assert [one.key for one in found] == list(config.keys())
    assert all(one.description for one in found)


@pytest.mark.parametrize(
    ("key", "limits"),
    [
        ("engine.slots", "at least 1, at most 64"),
        ("chat.top_p", "more than 0.0, at most 1.0"),
        ("gate.quantizations", "one or more"),
        ("chat.system", ""),
    ],
)
def test_limits_are_said_in_words(file: Path, key: str, limits: str) -> None:
    assert setting(file, key).limits == limits


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("learning.inject", ["true", "false"]),
        ("learning.threshold_mode", ["quick", "consolidate"]),
        ("gate.quantizations", ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16"]),
        ("training.rank", []),
    ],
)
def test_choices_are_listed(file: Path, key: str, choices: list[str]) -> None:
    assert setting(file, key).choices == choices


def test_it_is_told_where_a_value_comes_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[training]\nrank = 8\nalpha = 16\n")
    monkeypatch.setenv("SHAMMAH_TRAINING__ALPHA", "64")
    rank, alpha = setting(file, "training.rank"), setting(file, "training.alpha")
    assert (rank.value, rank.default, rank.source) == (8, 32, "file")
    assert (alpha.value, alpha.source) == (64, "environment")
    assert setting(file, "training.epochs").source == "default"


def test_the_default_is_not_taken_from_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHAMMAH_TRAINING__RANK", "64")
    assert setting(file, "training.rank").default == 32


def test_only_what_the_terminal_alone_reads_is_the_chats(file: Path) -> None:
    read = {one.key: one.read_by for one in settings.settings(file)}
    assert [key for key, reader in read.items() if reader == "chat"] == ["chat.keys", "chat.theme"]


def test_a_reset_leaves_the_rest_of_the_file_as_it_was(file: Path) -> None:
    file.write_text("# mine\n[training]\nrank = 8  # small\nalpha = 16\n")
    config.reset(file, "training.rank")
    assert file.read_text() == "# mine\n[training]\nalpha = 16\n"
    config.reset(file, "chat.system")  # nothing to do
    assert setting(file, "training.rank").source == "default"


@pytest.mark.parametrize("key", list(config.keys()))
def test_what_is_shown_can_be_set(file: Path, key: str) -> None:
    before = setting(file, key).value
    config.set_value(file, key, settings.text(before))
    assert setting(file, key).value == before


def test_a_key_in_another_section_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for act in (lambda: config.set_value(file, "learning.rank", "8"), lambda: config.load(file)):
        with pytest.raises(
            ConfigError, match=r"unknown configuration key 'learning\.rank'"
        ) as told:
            act()
        assert told.value.hint == "it is called training.rank"
        file.write_text("[learning]\nrank = 8\n")
