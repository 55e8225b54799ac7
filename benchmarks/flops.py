"""Floating-point operations that training the rows asks for, however a trainer does them.

The formula is in docs/benchmarks.md. Knows no trainer and no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import safe_open

from shammah.training.spec import Row

Matrix = tuple[int, int]  # out, in


@dataclass(frozen=True)
class Sizes:
    """What of a base decides how much there is to compute."""

    linear: list[Matrix]  # of every block
    head: Matrix
    attention: int  # blocks x query heads x size of a head

    @classmethod
    def read(cls, folder: Path) -> Sizes:
        """Of the training weights in `folder`."""
        config = json.loads((folder / "config.json").read_bytes())
        with safe_open(folder / "model.safetensors", "numpy") as file:
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        linear = [s for name, s in shapes.items() if ".layers." in name and len(s) == 2]
        size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        return cls(
            linear=linear,
            head=(config["vocab_size"], config["hidden_size"]),
            attention=config["num_hidden_layers"] * config["num_attention_heads"] * size,
        )

    @property
    def shapes(self) -> list[Matrix]:
        """Each shape of a matrix once."""
        return sorted({*self.linear, self.head})


def of_rows(rows: Iterable[Row], sizes: Sizes, rank: int) -> int:
    """Of one forward and backward pass over the rows, with LoRA of this rank on every linear
    layer."""
    return sum(_of_row(len(row.prompt), len(row.target), sizes, rank) for row in rows)


def _of_row(prompt: int, target: int, sizes: Sizes, rank: int) -> int:
    tokens = prompt + target - 1  # the last one predicts nothing
    linear = 4 * tokens * sum(map(prod, sizes.linear))
    lora = 6 * tokens * rank * sum(map(sum, sizes.linear))
    logits = 4 * target * prod(sizes.head)
    attention = 6 * tokens * (tokens + 1) * sizes.attention
    return linear + lora + logits + attention
