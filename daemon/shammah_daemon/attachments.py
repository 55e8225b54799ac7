"""Adapters as an engine takes them; who chooses them is not known here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shammah.records import Active, Applied


@dataclass(frozen=True)
class Attachment:
    """An adapter as an engine takes it."""

    applied: Applied
    file: Path  # a GGUF LoRA
    sha256: str


#: The adapters that belong to what is about to serve.
Attachments = Callable[[Active], Awaitable[Sequence[Attachment]]]


async def no_attachments(_active: Active) -> Sequence[Attachment]:
    return ()


def scales(attachments: Iterable[Attachment]) -> dict[Path, float]:
    """By file."""
    return {one.file: one.applied.scale for one in attachments}
