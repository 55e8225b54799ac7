"""DoRA's magnitudes (arXiv:2402.09353): the length of each row of an adapted weight, apart from its
direction. Knows no optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft.tuners.lora import LoraLayer

from shammah.training.lora_linear import magnitude

KEY = "lora_magnitude_vector"


class Lengths:
    """What a row's length is, beside what the model's precision made of it.

    PEFT starts from the lengths as the model's dtype has them, which in bfloat16 are off by up to
    0.2 %; against themselves they are right. Whoever merges computes exact lengths, so a file has
    the learned share of the exact one.
    """

    def __init__(self, layers: Mapping[str, LoraLayer]) -> None:
        """Args: layers: by their names in PEFT's model."""
        self._exact: dict[str, torch.Tensor] = {}  # over what the model began with, [rows]
        for name, layer in layers.items():
            begun = magnitude(layer)
            if begun is not None:
                exact = layer.get_base_layer().weight.float().norm(dim=1)
                self._exact[f"{name}.{KEY}"] = exact / begun.data.float()

    def to_file(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """PEFT's tensors by name, the magnitudes exact and in float32."""
        own = {name: tensors[name].float() * exact for name, exact in self._exact.items()}
        return {**tensors, **own}

    def to_model(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The reverse. Raises KeyError where the file lacks one."""
        own = {name: tensors[name].to(exact.device) / exact for name, exact in self._exact.items()}
        return {**tensors, **own}
