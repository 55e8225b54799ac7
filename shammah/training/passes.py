"""The passes that the steps of a job are divided into, as far as memory depends on them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import chain

import torch

from shammah.training.packing import Conversation, Pack, pack, size, split
from shammah.training.schedule import Step, Turn
from shammah.training.sizing import DeviceKind, Pass
from shammah.training.spec import Row

#: Of all passes so many are looked at, the longest and those with the most targets: to pack one
#: takes milliseconds.
_LARGEST = 8

_HERE = torch.device("cpu")


def largest(
    steps: Sequence[Step],
    rows: Sequence[Row],
    replay: Sequence[Row],
    max_tokens: int,
    divided: int,
    device: DeviceKind,
) -> list[Pass]:
    """The largest passes of the steps in micro-batches of `max_tokens`; see `packing.split`."""

    def row(turn: Turn) -> Row:
        return (replay if turn.is_replay else rows)[turn.row]

    batches: list[list[Conversation]] = []
    for step in steps:
        asked = [[row(turn) for turn in turns] for turns in step.conversations]
        batches += [[asked[i] for i in batch] for batch in split(asked, max_tokens, divided)]
    tokens = [sum(map(size, batch)) for batch in batches]
    targets = [sum(len(row.target) for row in chain(*batch)) for batch in batches]
    chosen = {
        index
        for sizes in (tokens, targets)
        for index in heapq.nlargest(_LARGEST, range(len(batches)), key=sizes.__getitem__)
    }
    return [
        _measure(pack(batches[index], torch.bfloat16, _HERE), device) for index in sorted(chosen)
    ]


def _measure(packed: Pack, device: DeviceKind) -> Pass:
    tokens, layout = packed.ids.shape[1], packed.layout
    targets = len(packed.predictors)
    if layout is None:
        return Pass.alone(tokens, targets, device)
    return Pass(tokens, len(layout.queries), len(layout.keys), layout.bias.numel(), targets)
