"""The blocks that markdown is made of: where one ends, and which are code. Draws nothing."""

from __future__ import annotations

from markdown_it import MarkdownIt

_PARSER = MarkdownIt().enable("strikethrough").enable("table")  # as rich.markdown parses


def split_finished(text: str) -> tuple[str, str]:
    """`text` cut before its last top-level block: only that one can still change.

    Finished blocks are drawn once and scroll away; the rest is drawn again with every piece.
    """
    starts = [
        token.map[0]
        for token in _PARSER.parse(text)
        if token.level == 0 and token.map is not None and token.nesting >= 0
    ]
    if len(starts) < 2:
        return "", text
    lines = text.split("\n")
    return "\n".join(lines[: starts[-1]]), "\n".join(lines[starts[-1] :])


def code(text: str) -> list[str]:
    """The contents of the blocks of code, without their fences."""
    return [token.content for token in _PARSER.parse(text) if token.type in ("fence", "code_block")]
