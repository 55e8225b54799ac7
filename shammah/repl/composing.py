"""Puts a chat together around its daemon, for a terminal or for a pipe."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer

from shammah import config, launch
from shammah.client import Client
from shammah.config import ChatConfig
from shammah.paths import Paths
from shammah.place import place
from shammah.repl import pipe, sessions
from shammah.repl.chat import Chat, Screen
from shammah.repl.completing import LineCompleter, sources
from shammah.repl.drawing import Drawing
from shammah.repl.notices import Notices
from shammah.repl.screen import TerminalScreen
from shammah.repl.turn import Turns
from shammah.repl.watch import JobWatch

Say = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """What takes the lines of a terminal, and what is shown around them."""

    chat: Chat
    turns: Turns
    screen: TerminalScreen
    watch: JobWatch
    completer: Completer

    def bar(self) -> str:
        """The line under the prompt."""
        return self.screen.bar(self.chat, self.watch)


def open_terminal(
    paths: Paths, drawing: Drawing, notices: Notices, say: Say, *, go_on: bool
) -> Opened:
    """A chat for the terminal that is drawn on.

    Args:
        say: told what goes on with the daemon.
        go_on: with the newest session.

    Raises:
        ShammahError: the settings are wrong, or no daemon can be had.
    """
    settings = config.load(paths.config_file).chat
    screen = TerminalScreen(drawing, notices, vi=settings.keys == "vi")
    chat = _chat(paths, screen, settings, say)
    if go_on:
        sessions.resume(chat)
    watch = JobWatch(Client(place(paths)), chat.job_ended, lambda: get_app().invalidate())
    watch.refresh()  # else the first bar says that there is no daemon
    watch.start()
    chat.catch_up()
    completer = LineCompleter(sources(Client(place(paths))))
    return Opened(chat, _turns(paths, chat), screen, watch, completer)


def run_pipe(paths: Paths, *, go_on: bool) -> int:
    """A chat of the lines of standard input. Returns the exit code."""
    screen = pipe.PipeScreen()
    chat = _chat(paths, screen, config.load(paths.config_file).chat, screen.say)
    if go_on:
        sessions.resume(chat)
    JobWatch(Client(place(paths)), chat.job_ended).start()
    return pipe.run(chat, _turns(paths, chat), sys.stdin.buffer)


def _chat(paths: Paths, screen: Screen, settings: ChatConfig, say: Say) -> Chat:
    client = launch.ensure_running(paths, say)
    return Chat(client, screen, settings, seed=lambda: random.randrange(2**31))


def _turns(paths: Paths, chat: Chat) -> Turns:
    return Turns(chat, paths, revive=lambda: launch.ensure_running(paths, chat.screen.say).close())
