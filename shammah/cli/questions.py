"""`shammah ask`: one question, one answer; `shammah why`: where an answer came from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running, started
from shammah.errors import UsageError

if TYPE_CHECKING:
    from shammah.client import ChatChunk, Client
    from shammah.protocol import ShammahInfo
    from shammah.records import Message


def ask(
    text: Annotated[
        str, typer.Argument(help="The question; '-' reads it, piped input is added to it.")
    ] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="On a terminal too: the text as it comes, not drawn.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Ask one question; the answer goes to standard output."""
    if raw and as_json:
        raise UsageError("--raw and --json are two forms of the same", hint="choose one")
    messages: list[Message] = [{"role": "user", "content": _question(text)}]
    with started() as client:
        if as_json:
            _print_whole(client, messages)
        else:
            show = _draw if sys.stdout.isatty() and not raw else _print
            with closing(client.chat_stream(messages)) as chunks:
                info = _show(chunks, show)
            if info is not None:
                _remark(info)


def why(
    inference_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The answer's id; else the newest answer.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Tell which version gave an answer, and which corrections helped.

    Those are the ones that were put before the question, because they are not learned yet.
    """
    with running() as client:
        found = client.why(inference_id)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.why(found))


def _question(text: str) -> str:
    """What is asked: the argument, what is piped in, or one after the other."""
    parts = [] if text == "-" else [text]
    if text == "-" or not sys.stdin.isatty():
        try:
            parts.append(sys.stdin.buffer.read().decode())
        except UnicodeDecodeError:
            raise UsageError("standard input is not UTF-8 text") from None
    question = "\n\n".join(part.strip() for part in parts if part.strip())
    if not question:
        raise UsageError("there is no question", hint="shammah ask TEXT, or pipe it in")
    return question


def _print_whole(client: Client, messages: list[Message]) -> None:
    completion = client.chat(messages)
    output.print_json(
        {
            "id": completion.id,
            "answer": completion.choices[0].message.content,
            "version": completion.shammah.version,
            "tokens_per_second": completion.shammah.tokens_per_second,
        }
    )
    _remark(completion.shammah)


def _show(chunks: Iterator[ChatChunk], show: Callable[[Iterator[str]], None]) -> ShammahInfo | None:
    """Show the pieces as they come, and return how they came about."""
    info: ShammahInfo | None = None

    def pieces() -> Iterator[str]:
        nonlocal info
        for chunk in chunks:
            info = chunk.info or info
            yield chunk.text

    show(pieces())
    return info


def _draw(pieces: Iterator[str]) -> None:
    """As the chat draws it."""
    from shammah import config
    from shammah.paths import Paths
    from shammah.repl import markdown
    from shammah.repl.drawing import Drawing

    settings = config.load(Paths.from_environment().config_file)
    drawing = Drawing.on_terminal(settings.chat.theme)
    markdown.show(pieces, drawing.console, drawing.code_theme)


def _print(pieces: Iterator[str]) -> None:
    try:
        for piece in pieces:
            print(_shown(piece), end="", flush=True)
    finally:
        print(flush=True)


def _shown(text: str) -> str:
    """Whole for another program; for a terminal without what would steer it."""
    from shammah.wording import printable

    return printable(text) if sys.stdout.isatty() else text


def _remark(info: ShammahInfo) -> None:
    from shammah.repl.wording import remarks

    for line in remarks(info):
        output.say(line)
