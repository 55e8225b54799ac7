"""Every command and key that the help has is in the documents."""

from __future__ import annotations

from tests.commands_page import PAGE, page


def test_the_page_of_commands_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "python -m tests.commands_page > docs/commands.md"
