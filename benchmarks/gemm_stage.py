"""How fast this machine multiplies matrices of a base's own shapes: the child that `train` runs
between two trainers.

Prints what a stage prints; see `shammah.stage`. In the precision and with the threads that a
training job has.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks.flops import Matrix, Sizes
from shammah import stage
from shammah.training.model import Hardware

#: Tokens of a pass: those of a few short rows and of a long one.
TOKENS = (256, 1024)

_SECONDS = 0.1  # for each product


def main(arguments: list[str]) -> None:
    [folder] = arguments
    stage.begin()
    stage.run(lambda _stop: best(Sizes.read(Path(folder)).shapes, Hardware.detect()))


def best(shapes: Iterable[Matrix], hardware: Hardware) -> dict[str, Any]:
    """The highest rate among forward and backward products with matrices of these shapes.

    Returns:
        flops_per_second, precision, threads.
    """
    hardware.prepare_torch()
    rate = max(_rate(out, into, tokens, hardware) for out, into in shapes for tokens in TOKENS)
    return {
        "flops_per_second": rate,
        "precision": str(hardware.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }


def _rate(out: int, into: int, tokens: int, hardware: Hardware) -> float:
    def matrix(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=hardware.dtype, device=hardware.device)

    weight, inputs, gradient = matrix(out, into), matrix(tokens, into), matrix(tokens, out)
    products = (lambda: functional.linear(inputs, weight), lambda: gradient @ weight)
    return 2 * tokens * out * into / min(map(_shortest, products))


def _shortest(product: Callable[[], torch.Tensor]) -> float:
    """Seconds of the fastest of many runs."""
    lasted: list[float] = []
    until = time.perf_counter() + _SECONDS
    while len(lasted) < 3 or time.perf_counter() < until:
        started = time.perf_counter()
        product()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        lasted.append(time.perf_counter() - started)
    return min(lasted)


if __name__ == "__main__":
    main(sys.argv[1:])
