"""What sets two answers apart, word by word, as it is drawn; pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from textual.content import Content

from shammah.wording import printable

REMOVED = "$text-error strike"
ADDED = "$text-success underline"

#: Answers that share less are shown one after the other: scattered common words help nobody.
LEAST_ALIKE = 0.4

_WORD = re.compile(r"\S+\s*")


def in_colour(old: str, new: str) -> Content:
    """`new`, with what it adds to `old` underlined, and what was taken away struck through."""
    before, after = _WORD.findall(printable(old)), _WORD.findall(printable(new))
    parts: list[Content] = []
    for same, removed, added in _changes(before, after):
        if same:
            parts.append(Content(same))
        if removed:
            parts += [Content.styled(removed.rstrip(), REMOVED), Content(" ")]
        if added:
            parts += [Content.styled(added.rstrip(), ADDED), Content(added[len(added.rstrip()) :])]
    return Content("").join(parts)


def _changes(before: list[str], after: list[str]) -> list[tuple[str, str, str]]:
    """What stays, what goes and what comes, in their order; one of the three is said at a time."""
    matcher = SequenceMatcher(
        None, [word.strip() for word in before], [word.strip() for word in after], autojunk=False
    )
    if matcher.ratio() < LEAST_ALIKE:
        return [("", "".join(before), ""), ("", "", "".join(after))]
    return [
        ("".join(after[new_from:new_to]), "", "")
        if kind == "equal"
        else ("", "".join(before[old_from:old_to]), "".join(after[new_from:new_to]))
        for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes()
    ]
