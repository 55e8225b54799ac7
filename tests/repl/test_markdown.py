"""Drawing an answer while it comes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count

import pytest
from rich.console import Console
from rich.markdown import Markdown

from shammah.repl import markdown
from shammah.repl.markdown import MarkdownStream
from shammah.repl.markdown_blocks import code, split_finished

DOCUMENT = """# Title

A paragraph with **bold** text.

1. one

2. two

   inside two

```python
first = 1

second = 2
```

| a | b |
|---|---|
| 1 | 2 |

The end.
"""

ERASE_LINE = "\x1b[2K"  # once in each frame of one line but the first


def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=10, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def final_text(text: str) -> list[str]:
    """The lines that stay, drawn piece by piece where nothing is drawn twice."""
    plain = Console(file=io.StringIO(), force_terminal=False, width=60, height=10)
    markdown.show(iter(text), plain)
    return [line.rstrip() for line in written(plain).splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("", ""),
        ("one paragraph", ""),
        ("one\n\ntwo", "one\n"),
        ("- a\n\n- b", ""),
        ("```\na\n\nb", ""),
        ("```\na\n```\n\nafter", "```\na\n```\n"),
        ("> a\n\nb\n\nc", "> a\n\nb\n"),
    ],
)
def test_only_the_last_block_is_unfinished(text: str, finished: str) -> None:
    assert split_finished(text) == (finished, text[len(finished) + bool(finished) :])


def test_what_stays_is_the_same_as_drawn_in_one_piece() -> None:
    whole = Console(file=io.StringIO(), force_terminal=False, width=60)
    whole.print(Markdown(DOCUMENT))
    expected = [line.rstrip() for line in written(whole).splitlines() if line.strip()]
    assert final_text(DOCUMENT) == expected


def test_a_second_of_pieces_is_drawn_at_most_twelve_times() -> None:
    ticks = count(0, 0.01)
    screen = console()
    with MarkdownStream(screen, clock=lambda: next(ticks)) as stream:
        for _ in range(100):
            stream.feed("x")
        frames = written(screen).count(ERASE_LINE) + 1
    assert 10 <= frames <= 12


def test_a_block_taller_than_the_screen_shows_its_last_lines() -> None:
    ticks = count()
    screen = console()
    text = "```\n" + "\n".join(f"line {number}" for number in range(50))
    with MarkdownStream(screen, clock=lambda: next(ticks)) as stream:
        stream.feed(text)
        frame = written(screen)
    assert "line 49" in frame
    assert "line 30" not in frame


def test_what_came_before_an_error_stays() -> None:
    def broken() -> Iterator[str]:
        yield "a part"
        raise RuntimeError

    screen = console()
    with pytest.raises(RuntimeError):
        markdown.show(broken(), screen)
    assert written(screen).rstrip().endswith("a part")


def test_code_is_taken_out_of_its_fences() -> None:
    assert code("One:\n\n```python\nx = 1\n```\n\nand\n\n- ~~~\n  y\n  ~~~\n") == ["x = 1\n", "y\n"]
    assert code("no `code` here") == []
