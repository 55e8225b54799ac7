"""The settings of the first prompt, read before all others, say what all others say."""

from __future__ import annotations

from pathlib import Path

import pytest

from shammah import config, look
from shammah.look import Look
from shammah.paths import Paths


@pytest.fixture
def file(home: Paths) -> Path:
    return home.config_file


@pytest.mark.parametrize(
    "text",
    ["", "[chat]\n", '[chat]\nkeys = "vi"\n', 'chat.theme = "light"\nchat.keys = "emacs"\n',
     "[training]\nrank = 8\n"],
)  # fmt: skip
def test_what_is_read_is_what_the_settings_are(file: Path, text: str) -> None:
    file.write_text(text)
    chat = config.load(file).chat
    assert look.read(file, {}) == Look(chat.keys, chat.theme)


def test_without_a_file_it_is_the_default(file: Path) -> None:
    assert look.read(file, {}) == Look()


@pytest.mark.parametrize(
    "text",
    ["not TOML", "chat = 1\n", '[chat]\nkeys = "nano"\n', "[chat]\ntheme = []\n", "\udcff"],
)
def test_what_may_be_wrong_is_left_to_the_settings(file: Path, text: str) -> None:
    file.write_text(text, errors="surrogateescape")
    assert look.read(file, {}) is None


@pytest.mark.parametrize(
    "variable", ["SHAMMAH_CHAT", "SHAMMAH_CHAT__KEYS", "SHAMMAH_CHAT__THEME", "shammah_chat__keys"]
)
def test_what_a_variable_may_say_is_left_to_the_settings(file: Path, variable: str) -> None:
    assert look.read(file, {variable: "vi"}) is None


def test_other_variables_say_nothing_of_it(file: Path) -> None:
    assert look.read(file, {"SHAMMAH_CHAT__MAX_TOKENS": "60"}) == Look()
