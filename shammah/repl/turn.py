"""One turn of a chat: a question or a slash command, and the edge where its errors end."""

from __future__ import annotations

from collections.abc import Callable

from shammah.errors import DaemonUnreachable, ShammahError
from shammah.paths import Paths
from shammah.repl import blocks, commands, crashes
from shammah.repl.chat import Chat


class Turns:
    """Takes line after line; one that fails is said and does not end the chat.

    Args:
        revive: starts the daemon again after it was lost.
    """

    def __init__(self, chat: Chat, paths: Paths, revive: Callable[[], None]) -> None:
        self._chat = chat
        self._paths = paths
        self._revive = revive
        self._lost_daemon = False

    def take(self, line: str) -> bool:
        """Whether the turn succeeded."""
        try:
            self._take(line)
        except DaemonUnreachable as error:
            self._lost_daemon = True
            self._chat.screen.fail(error)
        except ShammahError as error:
            self._chat.screen.fail(error)
        except BrokenPipeError:
            raise  # nobody reads what this turn and the next ones would say
        except Exception as error:
            self._chat.screen.fail(ShammahError(crashes.record(error, self._paths)))
        else:
            return True
        return False

    def _take(self, line: str) -> None:
        if self._lost_daemon:
            self._revive()
            self._lost_daemon = False
        if commands.is_command(line):
            commands.run(self._chat, line)
        else:
            self._chat.ask(blocks.unquoted(line))
