"""When a lesson is learned by heart instead of learned: phrasings that training never sees tell.

Pure functions of their NLL, which is measured before the first step and then every
`VALIDATE_STEPS`.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Steps from one measurement to the next; there is a checkpoint at each.
VALIDATE_STEPS = 10

#: By how much an NLL must exceed the lowest to be worse, in nats a token. Within a lesson that goes
#: well it moves by less (docs/learning.md).
TOLERANCE_NATS = 0.1


def best(measured: Sequence[float]) -> int:
    """The measurement that was lowest, the latest of equals, without the one before training."""
    return min(range(len(measured) - 1, 0, -1), key=lambda i: measured[i], default=0)


def is_worse(nll: float, measured: Sequence[float]) -> bool:
    """Whether a measurement before was better by more than chance."""
    return bool(best(measured)) and nll > measured[best(measured)] + TOLERANCE_NATS


def goes_wrong(measured: Sequence[float], patience: int) -> bool:
    """Whether each of the last `patience` measurements is worse than one before; never with 0."""
    newest, before = measured[-patience:], measured[:-patience]
    return patience > 0 and bool(before) and all(is_worse(nll, before) for nll in newest)
