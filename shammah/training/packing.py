"""Several conversations in one sequence without padding: who sees whom, and what is predicted.

A conversation is one row, or several rows one after the other, each of which sees what was said
before it. Conversations of one step begin with the same tokens (the system prompt); these are
computed once and every conversation attends to them, so that the gradient is exactly that of
separate sequences. Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch.nn.utils.rnn import pad_sequence

from shammah.training.attention_sizes import MAX_SCORES
from shammah.training.spec import Row

#: Rows one after the other, as a user would ask them.
Conversation = Sequence[Row]


@dataclass(frozen=True)
class Layout:
    """How the tokens of a pack are unfolded into padded pieces for attention, and folded back.

    R pieces: the shared prefix, when there is one, and each row. L is the longest piece; K the most
    keys that a piece may see: those of the pieces before it and its own.
    """

    pieces: int
    queries: torch.Tensor  # [R * L] packed index of every query, padding included
    keys: torch.Tensor  # [R * K] packed index of every key
    back: torch.Tensor  # [T] where each packed token lies among the queries
    before: torch.Tensor  # [R] how many keys come before a piece's own
    bias: torch.Tensor  # [R, 1, L, K], 0 where a query sees a key, very negative elsewhere

    def within(self, window: int | None) -> torch.Tensor:
        """`bias` where a query sees the last `window` keys only, its own included."""
        length, keys = self.bias.shape[2:]
        if window is None or keys <= window:
            return self.bias
        places = self.before[:, None] + torch.arange(length, device=self.bias.device)
        distance = places[:, None, :, None] - torch.arange(keys, device=self.bias.device)
        return self.bias.masked_fill(distance >= window, torch.finfo(self.bias.dtype).min / 2)


@dataclass(frozen=True)
class Pack:
    """One forward pass: T tokens, N of which predict a target token."""

    ids: torch.Tensor  # [1, T]
    positions: torch.Tensor  # [1, T]
    layout: Layout | None  # None: one row
    predictors: torch.Tensor  # [N] packed index whose output predicts the target
    targets: torch.Tensor  # [N], in the order of the rows


def pack(
    conversations: Sequence[Conversation], dtype: torch.dtype, device: torch.device
) -> Pack:  # fmt: skip
    """Pack `conversations`; `dtype` is that of the attention scores."""
    prefix = shared_prefix(conversations) if len(conversations) > 1 else 0
    pieces = [_Piece(conversations[0][0].prompt[:prefix], [], [])] if prefix else []
    for rows in conversations:
        seen = [0] if prefix else []
        for index, (asked, target) in enumerate(_turns(rows)):
            own = asked if index else asked[prefix:]
            pieces.append(_Piece(own, target, list(seen), ends=index == len(rows) - 1))
            seen.append(len(pieces) - 1)

    sizes = [len(piece.tokens) for piece in pieces]
    starts = _running_sum(sizes)
    positions: list[int] = []
    predictors: list[int] = []
    targets: list[int] = []
    for piece, start in zip(pieces, starts, strict=True):
        first = sum(sizes[i] for i in piece.seen)
        positions += range(first, first + len(piece.tokens))
        if piece.target:
            predicting = start + len(piece.prompt) - 1
            predictors += range(predicting, predicting + len(piece.target))
            targets += piece.target
    return Pack(
        ids=torch.tensor([[token for piece in pieces for token in piece.tokens]], device=device),
        positions=torch.tensor([positions], device=device),
        layout=_layout(pieces, starts, dtype, device) if len(pieces) > 1 else None,
        predictors=torch.tensor(predictors, device=device),
        targets=torch.tensor(targets, device=device),
    )


def unpacked(length: int, dtype: torch.dtype, device: torch.device) -> Layout:
    """The layout of one row."""
    return _layout([_Piece([0] * length, [], [])], [0], dtype, device)


def shared_prefix(conversations: Sequence[Conversation]) -> int:
    """How many prompt tokens all begin with; each keeps one prompt token of its own."""
    prompts = [rows[0].prompt for rows in conversations]
    shortest = min(map(len, prompts)) - 1
    for length in range(shortest):
        if any(prompt[length] != prompts[0][length] for prompt in prompts):
            return length
    return max(shortest, 0)


def size(conversation: Conversation) -> int:
    """Tokens of a conversation."""
    return sum(len(asked) + len(target) for asked, target in _turns(conversation))


def split(
    conversations: Sequence[Conversation], max_tokens: int, divided: int = 1
) -> list[list[int]]:
    """Indices of `conversations` in micro-batches within `max_tokens` and `MAX_SCORES`, shortest
    first.

    One that alone exceeds a limit gets a micro-batch of its own.

    Args:
        divided: into how many parts each micro-batch is divided, as far as it has conversations.
    """
    lengths = [size(rows) for rows in conversations]
    pieces = [
        [len(asked) + len(target) for asked, target in _turns(rows)] for rows in conversations
    ]
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        batch = [*batches[-1], index] if batches else []
        tokens = sum(lengths[i] for i in batch)
        longest = max((piece for i in batch for piece in pieces[i]), default=0)
        # Ascending order: the newest conversation is the longest.
        scores = sum(len(pieces[i]) for i in batch) * longest * lengths[index]
        if batch and tokens <= max_tokens and scores <= MAX_SCORES:
            batches[-1] = batch
        else:
            batches.append([index])
    return [part for batch in batches for part in _parts(batch, divided)]


def share(conversations: Sequence[Conversation], ranks: int) -> list[list[int]]:
    """Indices of `conversations` for each of so many processes, so that the one with the most
    tokens has few more than the others: the longest that is left goes to the one with the fewest
    (Graham 1969, "Bounds on multiprocessing timing anomalies")."""
    lengths = [size(rows) for rows in conversations]
    shares: list[list[int]] = [[] for _ in range(ranks)]
    tokens = [0] * ranks
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        rank = tokens.index(min(tokens))
        shares[rank].append(index)
        tokens[rank] += lengths[index]
    return [sorted(indices) for indices in shares]


def _parts(batch: list[int], count: int) -> list[list[int]]:
    longest = math.ceil(len(batch) / count)
    return [batch[start : start + longest] for start in range(0, len(batch), longest)]


@dataclass(frozen=True)
class _Piece:
    """Tokens that attend to themselves and to the pieces before them in their conversation."""

    prompt: list[int]
    target: list[int]
    seen: list[int]  # indices of the pieces before it
    ends: bool = False  # nothing follows: its last token predicts nothing, so it is left out

    @property
    def tokens(self) -> list[int]:
        return self.prompt + (self.target[:-1] if self.ends else self.target)


def _turns(conversation: Conversation) -> Iterator[tuple[list[int], list[int]]]:
    """(prompt, target) of each row as it stands there."""
    first, *others = conversation
    yield first.prompt, first.target
    for before, row in zip(conversation, others, strict=False):
        yield before.close + row.follow, row.target


def _layout(
    pieces: Sequence[_Piece], starts: Sequence[int], dtype: torch.dtype, device: torch.device
) -> Layout:
    own = [
        torch.arange(start, start + len(piece.tokens))
        for piece, start in zip(pieces, starts, strict=True)
    ]
    keys = [torch.cat([*(own[i] for i in piece.seen), own[n]]) for n, piece in enumerate(pieces)]
    longest, most = max(map(len, own)), max(map(len, keys))
    places = torch.arange(longest)
    bias = torch.full((len(pieces), longest, most), torch.finfo(dtype).min / 2, dtype=dtype)
    for index, (queried, seen) in enumerate(zip(own, keys, strict=True)):
        before = len(seen) - len(queried)
        bias[index, :, :before] = 0  # padding sees something too, or its softmax has no maximum
        bias[index, :, before : len(seen)].masked_fill_(
            places[:, None] >= places[: len(queried)], 0
        )
    sizes = torch.tensor([len(queried) for queried in own])
    present = places < sizes[:, None]
    return Layout(
        pieces=len(pieces),
        queries=pad_sequence(own, batch_first=True).flatten().to(device),
        keys=pad_sequence(keys, batch_first=True).flatten().to(device),
        back=(torch.arange(len(pieces))[:, None] * longest + places)[present].to(device),
        before=(torch.tensor([len(seen) for seen in keys]) - sizes).to(device),
        bias=bias[:, None].to(device),
    )


def _running_sum(lengths: Iterable[int]) -> list[int]:
    return list(accumulate(lengths, initial=0))[:-1]
