"""The prompts of the terminal, for a turn, a correction and a choice, and their keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from shammah.repl import blocks
from shammah.repl.difference import difference, in_brackets

#: How long a lone Esc waits for the rest of Alt-Enter, where Esc means something by itself.
_ESCAPE_SECONDS = 0.05

#: Marks of the last answer, on an empty line: Alt and the letter.
MARKS = {"g": "/good", "m": "/medium", "c": "/critical"}

#: What a difference may take of a small screen; more is cut.
_DIFFERENCE_LINES = 6

_STYLE = Style.from_dict(
    {
        "bottom-toolbar": "noreverse",
        "removed": "ansired strike",
        "added": "ansigreen bold",
    }
)

Edit = Callable[[str], str]


class Skipped(Exception):
    """A correction is left open; `args[0]` is what was typed."""


def turn_prompt(
    history: Path,
    bar: Callable[[], str],
    completer: Completer,
    edit: Edit,
    can_judge: Callable[[], bool],
    *,
    vi: bool,
) -> PromptSession[str]:
    """The prompt for questions and commands.

    Args:
        edit: what the user makes of a text in an editor, the terminal being theirs meanwhile.
        can_judge: whether there is an answer that the keys would mark.
        vi: edit lines as vi does.
    """
    keys = _writing_keys(edit)

    @keys.add("c-c")
    def _clear_line(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    @keys.add("enter", filter=Condition(_block_is_open) & ~is_searching)
    def _go_on(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    is_empty = Condition(lambda: not get_app().current_buffer.text)
    for letter, command in MARKS.items():

        @keys.add("escape", letter, filter=is_empty & Condition(can_judge))
        def _mark(event: KeyPressEvent, command: str = command) -> None:
            event.current_buffer.text = command  # what is left on the screen says what was done
            event.app.exit(result=command)

    session: PromptSession[str] = PromptSession(
        "> ",
        history=FileHistory(_private(history)),
        completer=completer,
        complete_while_typing=True,
        complete_in_thread=True,
        reserve_space_for_menu=5,
        search_ignore_case=True,
        bottom_toolbar=bar,
        prompt_continuation="  ",
        key_bindings=keys,
        vi_mode=vi,
    )
    return _with_lone_escape(session) if vi else session


def correction_prompt(edit: Edit, *, vi: bool) -> PromptSession[str]:
    """The prompt for a correction; what leaves it open raises `Skipped`."""
    keys = _writing_keys(edit)

    def _skip(event: KeyPressEvent) -> None:
        event.app.exit(exception=Skipped(event.current_buffer.text))

    for key in skipping_keys(vi=vi):
        keys.add(key)(_skip)
    return _with_lone_escape(
        PromptSession("= ", prompt_continuation="  ", key_bindings=keys, style=_STYLE, vi_mode=vi)
    )


def skipping_keys(*, vi: bool) -> tuple[str, ...]:
    """What leaves a correction open; for vi Esc only ends the typing."""
    return ("c-c",) if vi else ("c-c", "escape")


def _with_lone_escape(session: PromptSession[str]) -> PromptSession[str]:
    session.app.timeoutlen = _ESCAPE_SECONDS
    session.app.ttimeoutlen = _ESCAPE_SECONDS
    return session


def ask_correction(
    session: PromptSession[str],
    answer: str,
    proposal: str,
    shown: Callable[[str], str],
    has_colours: bool,
) -> str:
    """What the user makes of the proposal, with its difference to the bad answer below it.

    Args:
        shown: a text as this terminal can show it.
    """

    def below() -> StyleAndTextTuples:
        text = get_app().current_buffer.text
        return [(style, shown(said)) for style, said, *_ in _difference(answer, text, has_colours)]

    return session.prompt(default=proposal, bottom_toolbar=below)


def choice_prompt() -> PromptSession[str]:
    """The prompt for one letter out of some."""
    return PromptSession("? ", reserve_space_for_menu=0)


def _difference(answer: str, text: str, has_colours: bool) -> StyleAndTextTuples:
    """As many lines as there is room for, broken between words."""
    size = get_app().output.get_size()
    rows, column = min(_DIFFERENCE_LINES, size.rows // 3), 0
    shown: StyleAndTextTuples = []
    for piece in difference(answer, text):
        before = ""  # the blank before a word: a change's own style only inside the change
        for word in (piece.text if has_colours else in_brackets(piece)).split():
            if column and column + 1 + get_cwidth(word) > size.columns:
                rows, column = rows - 1, 0
                if rows == 0:
                    return shown
                shown.append(("", "\n"))
            elif column:
                shown.append((before, " "))
                column += 1
            before = f"class:{piece.kind}"
            shown.append((before, word))
            column += get_cwidth(word)
    return shown


def _writing_keys(edit: Edit) -> KeyBindings:
    """Alt-Enter for a new line, Ctrl-G for an editor."""
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-g", filter=~is_searching)
    def _edit(event: KeyPressEvent) -> None:
        buffer = event.current_buffer

        def edited() -> None:
            buffer.text = edit(buffer.text)
            buffer.cursor_position = len(buffer.text)

        run_in_terminal(edited)

    return keys


def _block_is_open() -> bool:
    return blocks.is_open(get_app().current_buffer.text)


def _private(history: Path) -> Path:
    """The history file, made so that only its user reads it."""
    os.close(os.open(history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    history.chmod(0o600)
    return history
