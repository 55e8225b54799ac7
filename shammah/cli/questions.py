"""`shammah ask`: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import started
from shammah.errors import UsageError

if TYPE_CHECKING:
    from shammah.client import ChatChunk, Client
    from shammah.records import Message


def ask(
    text: Annotated[
        str, typer.Argument(help="The question; '-' reads it, piped input is added to it.")
    ] = "",
    as_json: output.Json = False,
) -> None:
    """Ask one question; the answer goes to standard output."""
    messages: list[Message] = [{"role": "user", "content": _question(text)}]
    with started() as client:
        if as_json:
            _print_whole(client, messages)
        else:
            with closing(client.chat_stream(messages)) as chunks:
                _print_stream(chunks)


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
    _say_dropped(completion.shammah.dropped_messages)


def _print_stream(chunks: Generator[ChatChunk]) -> None:
    dropped = 0
    try:
        for chunk in chunks:
            print(_shown(chunk.text), end="", flush=True)
            dropped = chunk.info.dropped_messages if chunk.info else dropped
    finally:
        print(flush=True)
    _say_dropped(dropped)


def _shown(text: str) -> str:
    """Whole for another program; for a terminal without what would steer it."""
    from shammah.repl.wording import printable

    return printable(text) if sys.stdout.isatty() else text


def _say_dropped(dropped: int) -> None:
    if dropped:
        from shammah.repl.wording import count

        output.say(f"{count(dropped, 'oldest message')} left out: the context is full")
