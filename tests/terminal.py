"""A terminal that tests type into."""

from __future__ import annotations

import pexpect

SHOW_CURSOR = "\x1b[?25h"
CTRL_C, CTRL_G, CTRL_R, ESCAPE, ENTER, TAB = "\x03", "\x07", "\x12", "\x1b", "\r", "\t"
PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"


class Terminal(pexpect.spawn):  # type: ignore[misc]  # pexpect has no types
    """Answers where its cursor is, as a real terminal does: the toolbar waits for that."""

    shown = ""  # all of it, so far

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> str:
        data: str = super().read_nonblocking(size, timeout)
        for _ in range(data.count("\x1b[6n")):
            self.send("\x1b[1;1R")
        self.shown += data
        return data


def leave(chat: Terminal) -> int | None:
    """The exit code of a chat that is left with Ctrl-D."""
    chat.sendeof()
    chat.expect(pexpect.EOF)
    chat.close()
    exit_code: int | None = chat.exitstatus
    return exit_code
