"""What was changed between two answers, word by word; pure, draws nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "removed", "added"]

#: Words that are shown on each side of a change; the rest of what stays is left out.
CONTEXT_WORDS = 4

_WORD = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class Piece:
    kind: Kind
    text: str


def difference(old: str, new: str) -> list[Piece]:
    """What makes `new` of `old`: removed before added, what stays cut down to its edges."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    matcher = SequenceMatcher(
        None, [word.strip() for word in before], [word.strip() for word in after], autojunk=False
    )
    codes = matcher.get_opcodes()
    pieces: list[Piece] = []
    for index, (tag, old_from, old_to, new_from, new_to) in enumerate(codes):
        if tag == "equal":
            kept = _edges(after[new_from:new_to], index == 0, index == len(codes) - 1)
            pieces.append(Piece("same", kept))
            continue
        if old_to > old_from:
            pieces.append(Piece("removed", _line(before[old_from:old_to])))
        if new_to > new_from:
            pieces.append(Piece("added", _line(after[new_from:new_to])))
    return pieces


def in_brackets(piece: Piece) -> str:
    """As wdiff writes it, for a screen without colours."""
    return {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}[piece.kind].format(piece.text)


def _edges(words: list[str], is_first: bool, is_last: bool) -> str:
    head = [] if is_first else words[:CONTEXT_WORDS]
    tail = [] if is_last else words[len(head) :][-CONTEXT_WORDS:]
    left_out = len(words) > len(head) + len(tail)
    return " ".join(part for part in (_line(head), "…" if left_out else "", _line(tail)) if part)


def _line(words: list[str]) -> str:
    return " ".join(word.strip() for word in words)
