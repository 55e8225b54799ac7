"""What an adapter adds to a layer of its base, told without the order of the layer's rows.

To a layer W [out, in] an adapter adds D [out, in]. A sketch holds S = L W' D R' for a few
directions L and R of the layer's input: W'D as random projections see it from both sides
(arXiv:1411.4357). Rows are summed over, so S is the same wherever W and D have them in the same
order, and another where they do not: a GGUF's tensors can be held against the layers that were
trained without knowing how the one becomes the other.

Knows no torch and no llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from shammah.errors import JobError
from shammah.files import building

_PARTS = ("left", "right", "product")


@dataclass(frozen=True)
class Sketch:
    """Of one layer. The directions are of 1, -1 and 0, which every precision holds exactly."""

    left: NDArray[np.int8]  # L [k, in]
    right: NDArray[np.int8]  # R [n, in]
    product: NDArray[np.float32]  # S [k, n]

    def share(self, found: NDArray[np.float32]) -> tuple[float, float]:
        """Numerator and denominator of how much of this sketch another one [k, n] of the same
        directions holds, by least squares."""
        own = self.product.astype(np.float64)
        return float((own * found).sum()), float((own * own).sum())


def save(path: Path, sketches: Mapping[str, Sketch]) -> None:
    """By the layers' names in transformers.

    Raises:
        StorageError: the disk is full or the place is not writable; nothing is left behind.
    """
    tensors = {
        f"{name}.{part}": np.ascontiguousarray(getattr(sketch, part))
        for name, sketch in sorted(sketches.items())
        for part in _PARTS
    }
    with building(path) as partial:
        save_file(tensors, partial)


def load(path: Path) -> dict[str, Sketch]:
    """What `save` wrote.

    Raises:
        JobError: unreadable.
    """
    try:
        tensors = load_file(path)
        names = sorted({key.rpartition(".")[0] for key in tensors})
        return {name: Sketch(*(tensors[f"{name}.{part}"] for part in _PARTS)) for name in names}
    except (OSError, SafetensorError, KeyError) as error:
        raise JobError(
            f"cannot read the sketch of what was trained {path}: {error}",
            hint="remove the file: the lesson is then judged by its answers alone",
        ) from error
