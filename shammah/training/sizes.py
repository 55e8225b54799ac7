"""What suits a base of a given size. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple


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


def learning_rate_for(parameters: int) -> float:
    """The peak learning rate for a base of that size."""
    return next(size.learning_rate for size in SIZES if parameters <= size.parameters)
