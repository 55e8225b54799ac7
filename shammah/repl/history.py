"""The chat's input history as text, in prompt_toolkit's format; opens no file."""

from __future__ import annotations

import re
from collections.abc import Callable

#: A comment with the time, then what was typed, each line after a `+`
#: (`prompt_toolkit.history.FileHistory`).
_ENTRY = re.compile(r"\n?# [^\n]*\n((?:\+[^\n]*\n)+)")

#: Feedback on the question before it: says about it what the user wants forgotten.
_FEEDBACK = ("/critical", "/medium", "/good", "/fix")


def without(history: str, is_forgotten: Callable[[str], bool]) -> str:
    """The history without the entries of which that holds, and without the feedback after them."""
    question_is_forgotten = False

    def kept(entry: re.Match[str]) -> str:
        nonlocal question_is_forgotten
        typed = "\n".join(line[1:] for line in entry[1].splitlines())
        command, argument = (*typed.split(maxsplit=1), "", "")[:2]
        if command not in _FEEDBACK:
            question_is_forgotten = is_forgotten(typed)
            return "" if question_is_forgotten else entry[0]
        return "" if question_is_forgotten or is_forgotten(argument) else entry[0]

    return _ENTRY.sub(kept, history)
