"""Puts a chat together, for a terminal or for a pipe."""

from __future__ import annotations

import random
import sys

from shammah import config, launch
from shammah.client import Client, place
from shammah.config import ChatConfig
from shammah.paths import Paths
from shammah.repl import pipe, sessions
from shammah.repl.chat import Chat, Screen
from shammah.repl.turn import Turns
from shammah.repl.watch import JobWatch


def run(paths: Paths, *, go_on: bool = False) -> int:
    """Chat until the user leaves or the input ends. Returns the exit code.

    Args:
        go_on: with the newest session.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _run_terminal(paths, go_on)
    return _run_pipe(paths, go_on)


def _run_terminal(paths: Paths, go_on: bool) -> int:
    from shammah.repl import terminal  # prompt_toolkit is loaded for a terminal only

    settings = config.load(paths.config_file).chat
    screen = terminal.TerminalScreen(settings)
    chat = _chat(paths, screen, settings)
    if go_on:
        sessions.resume(chat)
    watch = _watch(paths, chat)
    terminal.run(chat, _turns(paths, chat), screen, watch, paths)
    return 0


def _run_pipe(paths: Paths, go_on: bool) -> int:
    chat = _chat(paths, pipe.PipeScreen(), config.load(paths.config_file).chat)
    if go_on:
        sessions.resume(chat)
    _watch(paths, chat).start()
    return pipe.run(chat, _turns(paths, chat), sys.stdin.buffer)


def _chat(paths: Paths, screen: Screen, settings: ChatConfig) -> Chat:
    client = launch.ensure_running(paths, screen.say)
    return Chat(client, screen, settings, seed=lambda: random.randrange(2**31))


def _turns(paths: Paths, chat: Chat) -> Turns:
    return Turns(chat, paths, revive=lambda: launch.ensure_running(paths, chat.screen.say).close())


def _watch(paths: Paths, chat: Chat) -> JobWatch:
    return JobWatch(Client(place(paths)), ended=chat.job_ended)
