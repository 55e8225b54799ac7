"""What of a conversation goes first where all of it is too long. Knows no tokens."""

from __future__ import annotations

from collections.abc import Sequence

from shammah.records import Message


def oldest_exchange(messages: Sequence[Message]) -> set[int]:
    """Indices of the oldest exchange: up to the next user message. Never those of system messages,
    nor of the newest message: empty where there is nothing else."""
    history = [i for i, m in enumerate(messages[:-1]) if m["role"] != "system"]
    end = next((i for i in history[1:] if messages[i]["role"] == "user"), len(messages) - 1)
    return {i for i in history if i < end}
