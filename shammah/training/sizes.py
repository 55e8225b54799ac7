"""What suits a base of a given size. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from shammah.options import Optimizer


class Size(NamedTuple):
    """Bases of up to so many parameters."""

    parameters: float
    learning_rate: float  # peak


#: The first was measured on SmolLM2-135M (docs/learning.md). The others are that times
#: (576 / hidden size) ** 0.781, for the hidden sizes 960, 2048, 3072 and 4096: what the best LoRA
#: learning rate of Llama models follows (Schulman et al., LoRA Without Regret, 2025). They were
#: not measured. The best rank depends on how much is taught, not on the size (ibidem).
SIZES = (
    Size(250e6, 1.4e-3),
    Size(700e6, 9.4e-4),
    Size(2.2e9, 5.2e-4),
    Size(5e9, 3.8e-4),
    Size(float("inf"), 3.0e-4),
)


#: Times AdamW's rate, for optimizers whose step is of another length: SGD's is that of the clipped
#: gradient, AdamW's grows with the root of the number of parameters. At this rate SGD learns ten
#: lessons, but moves the model farther than the gate allows (docs/learning.md).
RATES: Mapping[Optimizer, float] = {"sgd": 700.0}


def learning_rate_for(parameters: int, optimizer: Optimizer = "adamw") -> float:
    """The peak learning rate for a base of that size."""
    rate = next(size.learning_rate for size in SIZES if parameters <= size.parameters)
    return rate * RATES.get(optimizer, 1.0)
