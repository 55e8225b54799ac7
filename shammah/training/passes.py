"""The passes that the steps of a job are divided into, as far as memory depends on them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shammah.training.packing import Conversation, Pack, pack, size, split
from shammah.training.schedule import Step, Turn
from shammah.training.sizing import Pass
from shammah.training.spec import Row

#: Of all passes so many are looked at, the longest: to pack one takes a millisecond.
_LONGEST = 8

_HERE = torch.device("cpu")


def largest(
    steps: Sequence[Step], rows: Sequence[Row], replay: Sequence[Row], max_tokens: int, divided: int
) -> list[Pass]:
    """The largest passes of the steps in micro-batches of `max_tokens`; see `packing.split`."""

    def row(turn: Turn) -> Row:
        return (replay if turn.is_replay else rows)[turn.row]

    batches: list[list[Conversation]] = []
    for step in steps:
        asked = [[row(turn) for turn in turns] for turns in step.conversations]
        batches += [[asked[i] for i in batch] for batch in split(asked, max_tokens, divided)]
    batches.sort(key=lambda batch: sum(map(size, batch)), reverse=True)
    return [_measure(pack(batch, torch.bfloat16, _HERE)) for batch in batches[:_LONGEST]]


def _measure(packed: Pack) -> Pass:
    tokens, layout = packed.ids.shape[1], packed.layout
    targets = len(packed.predictors)
    if layout is None:
        return Pass(tokens, tokens, tokens, 0, targets)
    return Pass(tokens, len(layout.queries), len(layout.keys), layout.bias.numel(), targets)
