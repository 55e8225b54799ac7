"""Causal attention of one sequence on a CPU, in blocks of queries; knows no pack and no model.

torch's own CPU kernel computes the scores again in the backward pass, and its bfloat16 products
reach a fifth of the rate of a matrix product. Here each block of queries meets all keys up to its
last one in plain batched products, and its attention weights are kept for the backward pass: twice
as fast, for a memory that grows with the square of the length (measured in docs/benchmarks.md).
"""

from __future__ import annotations

from typing import Any

import torch

from shammah.training.attention_sizes import BLOCK, blocks


def causal_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Attention [H, T, D] of query [H, T, D] to key and value [G, T, D]; H is a multiple of G."""
    mixed: torch.Tensor = _Blocks.apply(query, key, value, scaling)  # type: ignore[no-untyped-call]
    return mixed


class _Blocks(torch.autograd.Function):
    """Heads that share keys lie one below the other, [G, heads * queries, D], in every product."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        groups, tokens, size = key.shape
        q = (query * scaling).view(groups, -1, tokens, size)
        mixed = torch.empty_like(q)
        hidden = torch.ones(BLOCK, BLOCK, dtype=torch.bool, device=q.device).triu(1)
        kept = []
        for start, end in blocks(tokens):
            count = end - start
            scores = (_stacked(q, start, end) @ key[:, :end].mT).view(groups, -1, count, end)
            scores[..., start:].masked_fill_(hidden[:count, :count], -torch.inf)
            weights = scores.softmax(-1)
            mixed[:, :, start:end] = (weights.flatten(1, 2) @ value[:, :end]).view(
                groups, -1, count, size
            )
            kept.append(weights)
        ctx.save_for_backward(q, key, value, mixed, *kept)
        ctx.scaling = scaling
        return mixed.view_as(query)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of a softmax as in FlashAttention (Dao et al., arXiv:2205.14135, B.2)."""
        q, key, value, mixed, *kept = ctx.saved_tensors
        [gradient] = gradients
        outer = gradient.reshape_as(q)
        inner = (outer * mixed).sum(-1, keepdim=True)
        q_gradient = torch.empty_like(q)
        # Sums over blocks, in float32: bfloat16 would lose a bit with every one.
        k_gradient = torch.zeros_like(key, dtype=torch.float32)
        v_gradient = torch.zeros_like(k_gradient)
        for weights, (start, end) in zip(kept, blocks(key.shape[1]), strict=True):
            own, passed = _stacked(q, start, end), _stacked(outer, start, end)
            v_gradient[:, :end] += weights.flatten(1, 2).mT @ passed
            through = (passed @ value[:, :end].mT).view_as(weights)
            scores = through.sub_(inner[:, :, start:end]).mul_(weights).flatten(1, 2)
            back = (scores @ key[:, :end]).view_as(q[:, :, start:end])
            q_gradient[:, :, start:end] = back
            k_gradient[:, :end] += scores.mT @ own
        q_gradient = (q_gradient * ctx.scaling).view_as(gradient)
        return q_gradient, k_gradient.to(key.dtype), v_gradient.to(value.dtype), None


def _stacked(heads: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """Queries `start` to `end` of [G, heads, T, D] as [G, heads * queries, D]."""
    return heads[:, :, start:end].flatten(1, 2)
