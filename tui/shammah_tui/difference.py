"""What sets two answers apart, in colour; pure."""

from __future__ import annotations

from textual.content import Content

from shammah.difference import pieces
from shammah.wording import printable

REMOVED = "$text-error strike"
ADDED = "$text-success underline"


def in_colour(old: str, new: str) -> Content:
    """`new`, with what it adds to `old` underlined, and what was taken away struck through."""
    parts: list[Content] = []
    for piece in pieces(printable(old), printable(new)):
        words = piece.text.rstrip()
        if piece.kind == "same":
            parts.append(Content(piece.text))
        elif piece.kind == "removed":
            parts += [Content.styled(words, REMOVED), Content(" ")]
        else:
            parts += [Content.styled(words, ADDED), Content(piece.text[len(words) :])]
    return Content("").join(parts)
