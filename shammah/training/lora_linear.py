"""A linear layer with LoRA as one operation; what PEFT's layer computes, in fewer and larger steps.

PEFT's layer scales, adds and accumulates in separate passes over memory. Here each product adds
into what is there already, the gradients of A and B straight into the adapter's flat buffer. Knows
no optimizer.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch.nn import functional


def fuse(model: torch.nn.Module) -> None:
    """Let every LoRA layer of `model` compute in one operation; its tensors stay PEFT's.

    The gradients of A and B are added to their `.grad`, which must be there.
    """
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.forward = _Fused(layer)


class _Fused:
    """The forward pass of one layer."""

    def __init__(self, layer: Linear) -> None:
        [name] = layer.active_adapters
        self._base = layer.base_layer
        self._a = layer.lora_A[name].weight
        self._b = layer.lora_B[name].weight
        self._scale = layer.scaling[name]

    def __call__(self, inputs: torch.Tensor, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        base = self._base
        output: torch.Tensor = _LoraLinear.apply(
            inputs, base.weight, base.bias, self._a, self._b, self._scale
        )  # type: ignore[no-untyped-call]
        return output


class _LoraLinear(torch.autograd.Function):
    """y = x W' + bias + scale * x A' B'; W and bias are frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        inner = rows @ a.t()  # [T, rank]
        output = functional.linear(rows, weight, bias).addmm_(inner, b.t(), alpha=scale)
        ctx.save_for_backward(rows, inner, weight, a, b)
        ctx.scale = scale
        # Not in `backward`: what was saved may come back recomputed, without its gradient.
        ctx.gradients = (a.grad, b.grad)
        return output.view(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, inner, weight, a, b = ctx.saved_tensors
        [gradient] = gradients
        outer = gradient.reshape(-1, gradient.shape[-1])
        through = outer @ b  # [T, rank]
        gradient_a, gradient_b = ctx.gradients
        gradient_a.addmm_(through.t(), rows, alpha=ctx.scale)
        gradient_b.addmm_(outer.t(), inner, alpha=ctx.scale)
        if not ctx.needs_input_grad[0]:
            return (None,) * 6
        back = (outer @ weight).addmm_(through, a, alpha=ctx.scale)
        return (back.view(*gradient.shape[:-1], -1), None, None, None, None, None)
