"""What a terminal shows that knows no Unicode, and what suits a light or dark one."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Mapping
from typing import Literal, TextIO

from rich.theme import Theme

Background = Literal["dark", "light", "unknown"]

_PLAIN = {
    "\N{MIDDLE DOT}": "|",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{BULLET}": "*",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RETURN SYMBOL}": "|",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
    "\N{LEFT HALF BLOCK}": "|",
}

_HANDLER = "shammah-plain"

#: The sixteen colours that every terminal has made to suit its own background; the normal half of
#: them can be read on either.
CODE_THEMES: Mapping[Background, str] = {
    "dark": "ansi_dark", "light": "ansi_light", "unknown": "ansi_light",
}  # fmt: skip

_INLINE_CODE: Mapping[Background, str] = {
    "dark": "bold bright_cyan", "light": "bold blue", "unknown": "bold",
}  # fmt: skip


def is_plain(environ: Mapping[str, str]) -> bool:
    """Whether the locale that the user named cannot show more than ASCII.

    Python itself turns LC_CTYPE from "C" into "C.UTF-8" (PEP 538), which says nothing about the
    terminal.
    """
    ctype = environ.get("LC_CTYPE", "")
    if ctype == "C.UTF-8" and environ.get("LANG") in ("C", "POSIX"):
        ctype = "C"
    named = environ.get("LC_ALL") or ctype or environ.get("LANG") or "UTF-8"
    return not named.lower().replace("-", "").endswith("utf8")


def plain(text: str) -> str:
    """`text` in ASCII, as near as it gets."""
    return "".join(c if c.isascii() else _plain_character(c) for c in text)


def make_plain(stream: TextIO) -> None:
    """Let `stream` write ASCII only."""
    codecs.register_error(_HANDLER, _replace)
    stream.reconfigure(encoding="ascii", errors=_HANDLER)  # type: ignore[attr-defined]


def background(setting: str, environ: Mapping[str, str]) -> Background:
    """Of the terminal: as it was set, or as COLORFGBG names it (`15;0`, the last is behind)."""
    if setting in ("dark", "light"):
        return "dark" if setting == "dark" else "light"
    behind = environ.get("COLORFGBG", "").rpartition(";")[2]
    if not behind.isdecimal():
        return "unknown"
    return "light" if int(behind) in (7, 15) else "dark"


def theme(behind: Background) -> Theme:
    """rich's own puts code on black."""
    return Theme({"markdown.code": _INLINE_CODE[behind], "markdown.code_block": "none"})


def _plain_character(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
