"""The optimizers that a recipe may name, over the flat masters of an adapter, and their state as
tensors. Knows no layer and no schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.optimization import Adafactor

from shammah.errors import JobError
from shammah.training.spec import Recipe

#: What the names of its tensors in a checkpoint begin with, and what stands between their parts.
_OPTIMIZER, _SEPARATOR = "optimizer", "/"
#: Ends the name of what is a plain number.
_NUMBER = "number"


def make(
    recipe: Recipe, masters: torch.nn.Parameter, shapes: Sequence[torch.Size]
) -> torch.optim.Optimizer:
    """The optimizer of `recipe.optim` over `masters` [P], which hold tensors of `shapes` in a row.

    All but Adafactor see one vector. Adafactor keeps the second moments of a matrix as those of its
    rows and columns (arXiv:1804.04235), so it sees the matrices; its rate is the schedule's, as
    transformers' `optim="adafactor"` has it.

    Raises:
        JobError: what the optimizer needs is not there.
    """
    decay = recipe.weight_decay
    match recipe.optim:
        case "adamw":
            betas = (recipe.adam_beta1, recipe.adam_beta2)
            return torch.optim.AdamW([masters], betas=betas, weight_decay=decay, fused=True)
        case "paged_adamw_8bit":
            return _paged_adamw_8bit(recipe, masters)
        case "sgd":
            return torch.optim.SGD([masters], momentum=recipe.adam_beta1, weight_decay=decay)
        case "adafactor":
            return Adafactor(  # type: ignore[no-untyped-call]
                matrices_of(masters, shapes),
                lr=recipe.learning_rate,
                scale_parameter=False,
                relative_step=False,
                weight_decay=decay,
            )


def matrices_of(
    masters: torch.nn.Parameter, shapes: Sequence[torch.Size]
) -> list[torch.nn.Parameter]:
    """Parameters of `shapes` that lie in `masters`, with their gradients where it has one."""
    parts = torch.split(masters.data, [shape.numel() for shape in shapes])
    return [torch.nn.Parameter(part.view(shape)) for part, shape in zip(parts, shapes, strict=True)]


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What the optimizer remembers, for `restore`; nothing before its first step."""
    found: dict[str, torch.Tensor] = {}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            key = f"{_OPTIMIZER}{_SEPARATOR}{number}{_SEPARATOR}{name}"
            if isinstance(value, torch.Tensor):
                found[key] = value.detach().clone().contiguous()
            elif isinstance(value, int | float):
                found[f"{key}{_SEPARATOR}{_NUMBER}"] = torch.tensor(value, dtype=torch.float64)
    return found


def restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Remember what `state_tensors` gave of an optimizer of the same kind."""
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        kind, *parts = key.split(_SEPARATOR)
        if kind == _OPTIMIZER:
            number, name, *rest = parts
            value = _number(tensor.item()) if rest else tensor
            state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _paged_adamw_8bit(recipe: Recipe, masters: torch.nn.Parameter) -> torch.optim.Optimizer:
    """AdamW with moments of 8 bits that leave the GPU when memory is short (arXiv:2110.02861)."""
    if masters.device.type != "cuda":
        raise JobError(
            "the optimizer paged_adamw_8bit needs a CUDA device, and there is none",
            hint="'shammah config set training.optim adamw'",
        )
    try:
        from bitsandbytes.optim import PagedAdamW8bit
    except ImportError as error:
        raise JobError(
            f"the optimizer paged_adamw_8bit needs bitsandbytes: {error}",
            hint="install it with 'pip install bitsandbytes', or set training.optim to adamw",
        ) from error
    optimizer: torch.optim.Optimizer = PagedAdamW8bit(
        [masters], betas=(recipe.adam_beta1, recipe.adam_beta2), weight_decay=recipe.weight_decay
    )
    return optimizer
