"""The help, which lists the commands without importing them."""

from __future__ import annotations

import pytest
from typer.core import TyperGroup
from typer.main import get_group

from shammah.cli.commands import COMMANDS, app

SHAMMAH = get_group(app)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_of_a_command_what_the_command_says(name: str) -> None:
    _, summary = COMMANDS[name]
    assert SHAMMAH.commands[name].get_short_help_str(limit=100) == summary


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_of_a_list_is_cut_off(name: str) -> None:
    width = 80 - len("  uninstall  ")
    command = SHAMMAH.commands[name]
    listed = command.commands.values() if isinstance(command, TyperGroup) else [command]
    for one in listed:
        assert "..." not in one.get_short_help_str(limit=width), one.name
