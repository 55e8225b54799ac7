"""When a lesson is learned by heart instead of learned: phrasings that training never sees tell.

Pure functions of their NLL, measured every `VALIDATE_STEPS` and at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Steps from one measurement to the next, which takes as long as a third of a step. There is a
#: checkpoint at each.
VALIDATE_STEPS = 20

#: By how much an NLL must exceed the lowest to be worse, in nats a token.
TOLERANCE_NATS = 0.1


def best(measured: Sequence[float]) -> int | None:
    """The measurement that was lowest, the latest of equals."""
    return min(reversed(range(len(measured))), key=lambda i: measured[i], default=None)


def is_worse(nll: float, measured: Sequence[float]) -> bool:
    """Whether a measurement before was better by more than chance."""
    return bool(measured) and nll > min(measured) + TOLERANCE_NATS


def goes_wrong(measured: Sequence[float], patience: int) -> bool:
    """Whether each of the last `patience` measurements is worse than one before; never with 0."""
    newest, before = measured[-patience:], measured[:-patience]
    return patience > 0 and bool(before) and all(is_worse(nll, before) for nll in newest)


def at_step(measured: Sequence[float], step: int, steps: int) -> float | None:
    """The measurement after `step` of a training that ended after `steps`; None where none was."""
    at = len(measured) - 1 if step == steps else step // VALIDATE_STEPS - 1
    return measured[at] if 0 <= at < len(measured) else None
