"""Several rows in one sequence without padding: who sees whom, where, and what is predicted.

Rows of one step begin with the same tokens (the system prompt); these are computed once and every
row attends to them, so that the gradient is exactly that of separate rows. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from shammah.training.spec import Row

#: Attention scores (rows x queries x keys) that one pack may hold per head; bounds its memory.
MAX_SCORES = 1 << 19


@dataclass(frozen=True)
class Layout:
    """How the tokens of a pack are unfolded into padded rows for attention, and folded back.

    The first of the R rows is the shared prefix, when there is one. L is the longest row,
    K = prefix + L the keys that a row may see.
    """

    rows: int
    queries: torch.Tensor  # [R * L] packed index of every query, padding included
    keys: torch.Tensor  # [R * K] packed index of every key
    back: torch.Tensor  # [T] where each packed token lies among the queries
    bias: torch.Tensor  # [R, 1, L, K], 0 where a query sees a key, very negative elsewhere


@dataclass(frozen=True)
class Pack:
    """One forward pass: T tokens, N of which predict a target token."""

    ids: torch.Tensor  # [1, T]
    positions: torch.Tensor  # [1, T]
    layout: Layout | None  # None: one row, plain causal attention
    predictors: torch.Tensor  # [N] packed index whose output predicts the target
    targets: torch.Tensor  # [N], in the order of the rows


def pack(rows: Sequence[Row], dtype: torch.dtype, device: torch.device) -> Pack:
    """Pack `rows`; `dtype` is that of the attention scores."""
    prefix = shared_prefix(rows) if len(rows) > 1 else 0
    inputs = [row.prompt + row.target[:-1] for row in rows]  # the last target predicts nothing
    pieces = [inputs[0][:prefix]] if prefix else []
    pieces += [tokens[prefix:] for tokens in inputs]
    starts = [0] * bool(prefix) + [prefix] * len(rows)
    packed_starts = _running_sum(len(piece) for piece in pieces)

    ids = [token for piece in pieces for token in piece]
    positions = [
        position
        for start, piece in zip(starts, pieces, strict=True)
        for position in range(start, start + len(piece))
    ]
    predictors: list[int] = []
    targets: list[int] = []
    for index, row in enumerate(rows):
        first = packed_starts[index + bool(prefix)] + len(row.prompt) - prefix - 1
        predictors += range(first, first + len(row.target))
        targets += row.target
    layout = None
    if len(rows) > 1:
        layout = _layout([len(piece) for piece in pieces], prefix, dtype, device)
    return Pack(
        ids=torch.tensor([ids], device=device),
        positions=torch.tensor([positions], device=device),
        layout=layout,
        predictors=torch.tensor(predictors, device=device),
        targets=torch.tensor(targets, device=device),
    )


def shared_prefix(rows: Sequence[Row]) -> int:
    """How many prompt tokens all rows begin with; each row keeps one prompt token of its own."""
    shortest = min(len(row.prompt) for row in rows) - 1
    first = rows[0].prompt
    for length in range(shortest):
        if any(row.prompt[length] != first[length] for row in rows):
            return length
    return max(shortest, 0)


def split(rows: Sequence[Row], max_tokens: int) -> list[list[int]]:
    """Indices of `rows` in micro-batches within `max_tokens` and `MAX_SCORES`, shortest first.

    A row that alone exceeds a limit gets a micro-batch of its own.
    """
    lengths = [len(row.prompt) + len(row.target) for row in rows]
    batches: list[list[int]] = []
    for index in sorted(range(len(rows)), key=lambda i: (lengths[i], i)):
        longest = lengths[index]  # ascending order: the newest row is the longest
        current = batches[-1] if batches else []
        tokens = sum(lengths[i] for i in current) + longest
        scores = (len(current) + 1) * longest * longest
        if current and tokens <= max_tokens and scores <= MAX_SCORES:
            current.append(index)
        else:
            batches.append([index])
    return batches


def _layout(lengths: list[int], prefix: int, dtype: torch.dtype, device: torch.device) -> Layout:
    count, longest = len(lengths), max(lengths)
    offsets = torch.arange(longest)
    sizes = torch.tensor(lengths)
    starts = torch.tensor(_running_sum(lengths))
    present = offsets < sizes[:, None]  # [R, L]
    own = torch.where(present, starts[:, None] + offsets, 0)
    before = torch.arange(prefix).expand(count, prefix)
    sees_prefix = torch.ones(count, prefix, dtype=torch.bool)
    if prefix:
        sees_prefix[0] = False  # the prefix is a row of its own: its tokens see only themselves
    causal = offsets[:, None] >= offsets
    sees_own = causal & present[:, None, :]
    sees = torch.cat([sees_prefix[:, None, :].expand(count, longest, prefix), sees_own], dim=2)
    bias = torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min / 2)
    back = (torch.arange(count)[:, None] * longest + offsets)[present]
    return Layout(
        rows=count,
        queries=own.flatten().to(device),
        keys=torch.cat([before, own], dim=1).flatten().to(device),
        back=back.to(device),
        bias=bias[:, None].to(device),
    )


def _running_sum(lengths: Iterable[int]) -> list[int]:
    return list(accumulate(lengths, initial=0))[:-1]
