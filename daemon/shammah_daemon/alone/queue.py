"""The file of lines that is trained on: read whole, checked line by line, put away at the end.

Knows no model and no training.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from shammah.config import LearningConfig
from shammah.errors import UsageError
from shammah.feedback.lines import parse, split
from shammah.feedback.secrets import secrets_in
from shammah.feedback.twins import all_twins, asked, say_the_same
from shammah.files import storage_error, sync, write_atomically
from shammah.records import Example, ExampleStatus

#: More refused lines than this are counted, not named.
NAMED_LINES = 10


@dataclass(frozen=True)
class Snapshot:
    """The queue as it was when training began; lines may come to the file meanwhile."""

    path: Path
    data: bytes

    @property
    def sha256(self) -> str:
        return sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Lines:
    """What the lines of a queue say. All are named by their numbers, from 1."""

    count: int  # that say something
    examples: list[Example]  # their ids are the numbers of their lines
    refused: Mapping[int, str]  # why
    duplicates: Mapping[int, int]  # which line says the same
    contradictions: Sequence[tuple[int, int]]  # they ask the same, and answer differently


def take(path: Path) -> Snapshot:
    """Raises UsageError where there is no such file."""
    path = path.resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="name a file of JSON lines")
    try:
        return Snapshot(path, path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def take_again(path: Path, archived: Path, size_bytes: int, digest: str) -> Snapshot:
    """The same lines as before. The file may have grown since, or have been put away already.

    Raises:
        UsageError: it does not begin with them any more.
    """
    for place in (path, archived):
        data = place.read_bytes()[:size_bytes] if place.is_file() else b""
        if sha256(data).hexdigest() == digest:
            return Snapshot(path, data)
    raise UsageError(
        f"{path} does not hold the lines any more that this training was begun with",
        hint="begin anew in another folder",
    )


def read(queue: Snapshot, learning: LearningConfig, *, allow_secrets: bool) -> Lines:
    """What each line teaches. Of lines that say the same, the first is kept, with the highest
    weight.

    Raises:
        UsageError: no line says anything.
    """
    lines = {n: line for n, line in enumerate(split(queue.data), 1) if line.strip()}
    if not lines:
        raise UsageError(f"there is nothing in {queue.path}", hint="one JSON object a line")
    found: dict[str, Example] = {}
    refused: dict[int, str] = {}
    duplicates: dict[int, int] = {}
    for number, line in lines.items():
        try:
            example = _taught(line, learning, queue.path.name, allow_secrets=allow_secrets)
        except UsageError as error:
            refused[number] = error.message
            continue
        identity = json.dumps([example.messages, example.target], sort_keys=True)
        if first := found.get(identity):
            duplicates[number] = first.id
            found[identity] = replace(first, weight=max(first.weight, example.weight))
        else:
            found[identity] = replace(example, id=number)
    examples = list(found.values())
    return Lines(len(lines), examples, refused, duplicates, _contradictions(examples))


def require_whole(lines: Lines, queue: Path) -> None:
    """Raises UsageError where a line was refused; names each, up to `NAMED_LINES`."""
    if not lines.refused:
        return
    named = [f"  line {number}: {why}" for number, why in lines.refused.items()]
    more = len(named) - NAMED_LINES
    named = [*named[:NAMED_LINES], *([f"  and {more} more"] if more > 0 else [])]
    raise UsageError(
        "\n".join([f"nothing is trained: {queue} has lines that cannot be taught", *named]),
        hint="mend them, or leave them out with --skip-bad",
    )


def archive(queue: Snapshot, into: Path) -> str | None:
    """Move the lines that were trained to `into`. Lines that came to the file since stay in it.

    Done again after an interruption, it goes on. Returns what the user should know, if anything.

    Raises:
        StorageError: a disk does not take it; the queue is as it was.
    """
    try:
        if into.exists():  # put there before
            if queue.path.is_file() and queue.path.read_bytes() == queue.data:
                queue.path.unlink()
        elif not queue.path.exists():
            write_atomically(into, queue.data)
        elif not queue.path.read_bytes().startswith(queue.data):
            write_atomically(into, queue.data)
            return f"{queue.path} was changed meanwhile: it stays, what was trained is in {into}"
        else:
            _move(queue.path, into)
        return _give_back(queue, into)
    except OSError as error:
        raise storage_error(error, into) from error


def _move(path: Path, into: Path) -> None:
    try:
        path.replace(into)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_atomically(into, path.read_bytes())
        path.unlink()
    into.chmod(0o600)
    sync(into.parent)


def _give_back(queue: Snapshot, into: Path) -> str | None:
    """Put back what was appended to the file before it was moved: it was not trained."""
    rest = into.read_bytes()[len(queue.data) :]
    if not rest:
        return None
    with os.fdopen(
        os.open(queue.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab"
    ) as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())
    write_atomically(into, queue.data)
    return f"{queue.path} has lines that came meanwhile: they stay, and are not trained yet"


def _taught(line: bytes, learning: LearningConfig, source: str, *, allow_secrets: bool) -> Example:
    example = parse(line, learning, source)
    if example.status is ExampleStatus.DRAFT:
        raise UsageError("it is a draft: it has no answer yet")
    secrets = secrets_in(example.messages, example.target, example.note)
    if not allow_secrets and (secrets or example.status is ExampleStatus.HELD):
        kinds = f" ({', '.join(secrets)})" if secrets else ""
        raise UsageError(f"it may hold a secret{kinds}; --allow-secrets trains it all the same")
    return replace(example, status=ExampleStatus.READY)


def _contradictions(examples: Sequence[Example]) -> list[tuple[int, int]]:
    targets = {example.id: example.target or "" for example in examples}
    pairs = all_twins(asked(example.id, example.messages) for example in examples)
    return [(a, b) for a, b in pairs if not say_the_same(targets[a], targets[b])]
