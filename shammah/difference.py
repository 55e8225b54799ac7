"""What sets two answers apart, word by word; pure, draws nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "removed", "added"]

#: Answers that share less are told one after the other: scattered common words help nobody.
LEAST_ALIKE = 0.4

_WORD = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class Piece:
    kind: Kind
    text: str  # with the white space that follows it


def pieces(old: str, new: str) -> list[Piece]:
    """What makes `new` of `old`, removed before added. Words count, not the space between them."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    matcher = SequenceMatcher(
        None, [word.strip() for word in before], [word.strip() for word in after], autojunk=False
    )
    if matcher.ratio() < LEAST_ALIKE:
        return _changed(before, after)
    found: list[Piece] = []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            found.append(Piece("same", "".join(after[new_from:new_to])))
        else:
            found += _changed(before[old_from:old_to], after[new_from:new_to])
    return found


def _changed(removed: list[str], added: list[str]) -> list[Piece]:
    told = [Piece("removed", "".join(removed)), Piece("added", "".join(added))]
    return [piece for piece in told if piece.text]
