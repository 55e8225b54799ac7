"""What sets two answers apart, word by word, as it is drawn; pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from textual.content import Content

from shammah.wording import printable

REMOVED = "$text-error strike"
ADDED = "$text-success underline"

_WORD = re.compile(r"\S+|\s+")


def in_colour(old: str, new: str) -> Content:
    """`new`, with what it adds to `old` underlined, and what was taken away struck through."""
    before, after = _WORD.findall(printable(old)), _WORD.findall(printable(new))
    parts: list[Content] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind == "equal":
            parts.append(Content("".join(after[new_from:new_to])))
            continue
        removed, added = "".join(before[old_from:old_to]), "".join(after[new_from:new_to])
        if removed.strip():
            parts.append(Content.styled(removed.rstrip(), REMOVED))
            parts.append(Content(" "))
        if added:
            parts.append(Content.styled(added, ADDED if added.strip() else ""))
    return Content("").join(parts)
