"""Linear layers with LoRA that read the same input, as one operation.

What PEFT's layers compute one by one, in fewer and larger steps. PEFT's layer scales, adds and
accumulates in separate passes over memory. Here each product adds into what is there already, the
gradients of A and B straight into the adapter's flat buffer, and the query, key and value layers
are one product with their weights above one another. Knows no optimizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch.nn import functional

from shammah.training.model import SHARED_INPUTS


def adapted(model: torch.nn.Module) -> list[dict[str, LoraLayer]]:
    """The LoRA layers of `model` by name, in its order, those that read the same input together."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    groups: dict[tuple[str, int], dict[str, LoraLayer]] = {}
    for name, layer in layers.items():
        block, own = name.rpartition(".")[::2]
        [place] = [index for index, group in enumerate(SHARED_INPUTS) if own in group]
        groups.setdefault((block, place), {})[name] = layer
    return list(groups.values())


def matrices(layer: LoraLayer) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    """A [rank, in] and B [out, rank] of the layer's only adapter."""
    [name] = layer.active_adapters
    return layer.lora_A[name].weight, layer.lora_B[name].weight


def magnitude(layer: LoraLayer) -> torch.nn.Parameter | None:
    """DoRA's lengths [out] of the layer's only adapter, where it has them."""
    [name] = layer.active_adapters
    if name not in layer.lora_magnitude_vector:
        return None
    found: torch.nn.Parameter = layer.lora_magnitude_vector[name].weight
    return found


def fuse(layers: Sequence[Linear], a: torch.Tensor, a_gradient: torch.Tensor) -> None:
    """Let layers that read the same input compute together; their tensors stay PEFT's.

    The gradients are added to `a_gradient` and to the `.grad` of each B, which must be there.

    Args:
        a: the layers' matrices A, one above the other [n * rank, in]; theirs are views of it.
        a_gradient: of the same shape.
    """
    together = _Together(layers, a, a_gradient)
    for index, layer in enumerate(layers):
        layer.forward = partial(together.output, index)


class _Together:
    """The forward pass of layers that read the same input."""

    def __init__(self, layers: Sequence[Linear], a: torch.Tensor, a_gradient: torch.Tensor) -> None:
        bases = [layer.base_layer for layer in layers]
        self._weight = torch.cat([base.weight.data for base in bases])
        self._sizes = [base.out_features for base in bases]
        for base, rows in zip(bases, torch.split(self._weight, self._sizes), strict=True):
            base.weight.data = rows  # the same numbers, held once
        biases = [base.bias for base in bases]
        self._bias = None if None in biases else torch.cat([bias.data for bias in biases])
        [self._scale] = {scale for layer in layers for scale in layer.scaling.values()}
        self._a, self._a_gradient = a, a_gradient
        self._bs = [matrices(layer)[1] for layer in layers]
        self._inputs: torch.Tensor | None = None
        self._outputs: dict[int, torch.Tensor] = {}

    def output(self, index: int, inputs: torch.Tensor, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        """Of one layer; all are computed when the first is asked."""
        if inputs is not self._inputs:
            whole = _LoraLinear.apply(
                inputs, self._weight, self._bias, self._scale, self._a, self._a_gradient, *self._bs
            )  # type: ignore[no-untyped-call]
            self._inputs = inputs
            self._outputs = dict(enumerate(torch.split(whole, self._sizes, dim=-1)))
        found = self._outputs.pop(index)
        if not self._outputs:
            self._inputs = None
        return found


class _LoraLinear(torch.autograd.Function):
    """y = x W' + bias + scale * x A' B' for the rows of W that belong to each B; W and bias are
    frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        scale: float,
        a: torch.Tensor,
        a_gradient: torch.Tensor,
        *bs: torch.Tensor,
    ) -> torch.Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        inner = rows @ a.t()  # [T, n * rank]
        output = functional.linear(rows, weight, bias)
        for part, own, b in zip(*_by_layer(output, inner, bs), bs, strict=True):
            part.addmm_(own, b.t(), alpha=scale)
        ctx.save_for_backward(rows, inner, weight, a, *bs)
        ctx.scale = scale
        # Not in `backward`: what was saved may come back recomputed, without its gradient.
        ctx.gradients = (a_gradient, [b.grad for b in bs])
        return output.view(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, inner, weight, a, *bs = ctx.saved_tensors
        [gradient] = gradients
        outer = gradient.reshape(-1, gradient.shape[-1])
        a_gradient, b_gradients = ctx.gradients
        through = torch.empty_like(inner)
        parts, inners = _by_layer(outer, inner, bs)
        throughs = torch.split(through, [b.shape[1] for b in bs], dim=1)
        for part, own, passed, b, b_gradient in zip(
            parts, inners, throughs, bs, b_gradients, strict=True
        ):
            torch.mm(part, b, out=passed)
            b_gradient.addmm_(part.t(), own, alpha=ctx.scale)
        a_gradient.addmm_(through.t(), rows, alpha=ctx.scale)
        nothing = (None,) * (5 + len(bs))
        if not ctx.needs_input_grad[0]:
            return (None, *nothing)
        back = (outer @ weight).addmm_(through, a, alpha=ctx.scale)
        return (back.view(*gradient.shape[:-1], -1), *nothing)


def _by_layer(
    outer: torch.Tensor, inner: torch.Tensor, bs: Sequence[torch.Tensor]
) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
    """Each layer's columns of what lies at its end [T, out] and between its A and B [T, rank]."""
    return (
        torch.split(outer, [b.shape[0] for b in bs], dim=1),
        torch.split(inner, [b.shape[1] for b in bs], dim=1),
    )
