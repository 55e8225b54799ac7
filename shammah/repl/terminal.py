"""The chat in a terminal: its prompt comes first, and the chat itself is made ready beside it.

Imports little itself, and nothing while the rest is imported: a thread that comes to a module which
another one has half imported may see half of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from shammah import __version__, look
from shammah.look import Look
from shammah.paths import Paths
from shammah.place import listens, place
from shammah.repl import editor
from shammah.repl.drawing import Drawing
from shammah.repl.notices import Notices
from shammah.repl.opening import Opening
from shammah.repl.prompts import turn_prompt
from shammah.repl.typing_ahead import typing_ahead

if TYPE_CHECKING:
    from shammah.repl.composing import Opened

#: How long the first completion waits for the commands to be loaded.
_COMPLETION_SECONDS = 2.0


def run(paths: Paths, *, go_on: bool) -> None:
    """Take turns until the user leaves.

    Args:
        go_on: with the newest session, which is shown before the first prompt.

    Raises:
        ShammahError: the settings are wrong, or no daemon can be had.
    """
    looks = _looks(paths)
    drawing = Drawing.on_terminal(looks.theme)
    notices = Notices(drawing.say)
    prompt_first = _a_daemon_listens(paths) and not go_on
    say = notices.add if prompt_first else drawing.say
    opening = Opening(lambda: _load(paths, drawing, notices, say, go_on))
    if not prompt_first:
        opening.here()
    prompt = _prompt(paths, looks, drawing, opening)
    drawing.say(f"shammah {__version__}: /help shows the commands, Ctrl-D leaves")
    drawing.say("mark an answer with /good, /medium or /critical, or Alt and the first letter")
    _take_turns(prompt, opening, drawing, notices)


def _looks(paths: Paths) -> Look:
    found = look.read(paths.config_file, os.environ)
    if found is not None:
        return found
    from shammah import config

    chat = config.load(paths.config_file).chat
    return Look(chat.keys, chat.theme)


def _a_daemon_listens(paths: Paths) -> bool:
    """On this machine: one behind a port may need its time, or not let us in."""
    where = place(paths)
    return isinstance(where, Path) and listens(where)


def _load(
    paths: Paths, drawing: Drawing, notices: Notices, say: Callable[[str], None], go_on: bool
) -> Callable[[], Opened]:
    from shammah.repl.composing import open_terminal

    return partial(open_terminal, paths, drawing, notices, say, go_on=go_on)


def _prompt(
    paths: Paths, looks: Look, drawing: Drawing, opening: Opening[Opened]
) -> PromptSession[str]:
    def bar() -> str:
        opened = _opened(opening)
        return opened.bar() if opened else ""

    def can_judge() -> bool:
        opened = _opened(opening)
        return opened is not None and opened.chat.can_judge

    return turn_prompt(
        paths.history,
        bar,
        _LaterCompleter(opening),
        partial(editor.edit_or_keep, fail=drawing.fail),
        can_judge,
        vi=looks.keys == "vi",
    )


class _LaterCompleter(Completer):
    """The chat's own completer, as soon as there is one. Asked in a thread of its own."""

    def __init__(self, opening: Opening[Opened]) -> None:
        self._opening = opening

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        wait([self._opening.future], _COMPLETION_SECONDS)
        if opened := _opened(self._opening):
            yield from opened.completer.get_completions(document, event)


def _take_turns(
    prompt: PromptSession[str], opening: Opening[Opened], drawing: Drawing, notices: Notices
) -> None:
    while True:
        opened = _opened(opening)
        if opened:
            opened.watch.refresh()
        try:
            with notices.above_prompt():
                line = prompt.prompt(
                    default=opened.screen.proposed if opened else "",
                    pre_run=None if opened else partial(_open_beside, prompt.app, opening),
                )
                opened = opened or _made_ready(opening)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if line.strip():
            _take(opened, line, drawing)
        if opened.chat.leaving:
            return


def _opened(opening: Opening[Opened]) -> Opened | None:
    """The chat, if it is ready."""
    future = opening.future
    return future.result() if future.done() and not future.exception() else None


def _made_ready(opening: Opening[Opened]) -> Opened:
    """The chat, waited for where the first line came sooner. Raises why there is none."""
    with typing_ahead():
        return opening.future.result()


def _open_beside(prompt: Application[Any], opening: Opening[Opened]) -> None:
    """Begin once the prompt is drawn; draw it anew when the chat is ready."""

    async def open_chat() -> None:
        opening.begin()
        try:
            await asyncio.wrap_future(opening.future)
        except Exception:  # told to whoever takes the line
            if not prompt.is_done:
                prompt.exit(result="")
        else:
            prompt.invalidate()

    prompt.create_background_task(open_chat())


def _take(opened: Opened, line: str, drawing: Drawing) -> None:
    try:
        opened.turns.take(line)
    except KeyboardInterrupt:
        drawing.say("stopped")
