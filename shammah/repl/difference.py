"""What was changed between two answers as the chat shows it: in few words, also without colours."""

from __future__ import annotations

from dataclasses import replace

from shammah.difference import Piece, pieces

#: Words that are shown on each side of a change; the rest of what stays is left out.
CONTEXT_WORDS = 4


def difference(old: str, new: str) -> list[Piece]:
    """What makes `new` of `old`, each piece in one line; what stays is cut down to its edges."""
    found = pieces(old, new)
    return [
        replace(piece, text=_shown(piece, is_first=index == 0, is_last=index == len(found) - 1))
        for index, piece in enumerate(found)
    ]


def in_brackets(piece: Piece) -> str:
    """As wdiff writes it, for a screen without colours."""
    return {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}[piece.kind].format(piece.text)


def _shown(piece: Piece, *, is_first: bool, is_last: bool) -> str:
    words = piece.text.split()
    if piece.kind != "same":
        return " ".join(words)
    head = [] if is_first else words[:CONTEXT_WORDS]
    tail = [] if is_last else words[len(head) :][-CONTEXT_WORDS:]
    left_out = ["…"] if len(words) > len(head) + len(tail) else []
    return " ".join([*head, *left_out, *tail])
