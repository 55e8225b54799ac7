"""How much of what was trained a candidate file holds; knows neither adapter nor row order.

The trained layers left sketches of what they add to the base. Here the same sketches are made of
the difference between the candidate's tensors and the base's.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shammah.bases.architectures import gguf_name, lookup
from shammah.bases.gguf_header import Header
from shammah.bases.sketch import Sketch
from shammah.errors import JobError
from shammah.publish.rows import read_rows, spans, tensor_data


def kept(
    sketches: Mapping[str, Sketch], base: Header, candidate: Header, threads: int
) -> dict[str, float]:
    """By kind of layer ("q_proj"), the share of what its layers were trained to add: 1 is all, 0
    nothing, 2 twice as much. Kinds that training left alone are missing.

    Raises:
        JobError: base or candidate lacks a layer of the sketches, or has it in another shape.
        BaseModelError: a type that gguf cannot dequantize.
    """
    architecture = lookup(base.architecture)
    names = {module: gguf_name(architecture, module) for module in sketches}
    for module, name in names.items():
        columns = sketches[module].left.shape[1]
        for header in (base, candidate):
            tensor = header.tensors.get(name)
            if tensor is None or tensor.row_size != columns:
                raise JobError(
                    f"{header.path} has no tensor {name} with rows of {columns} numbers, and that "
                    "layer was trained",
                    hint="it is another model than the base of this lesson",
                )

    def share(module: str) -> tuple[float, float]:
        sketch = sketches[module]
        return sketch.share(_product(sketch, base, candidate, names[module]))

    with ThreadPoolExecutor(threads) as pool:
        shares = pool.map(share, sketches)
    sums: dict[str, tuple[float, float]] = {}
    for module, (held, trained) in zip(sketches, shares, strict=True):
        kind = module.rpartition(".")[2]
        before = sums.get(kind, (0.0, 0.0))
        sums[kind] = (before[0] + held, before[1] + trained)
    return {kind: held / trained for kind, (held, trained) in sums.items() if trained}


def _product(sketch: Sketch, base: Header, candidate: Header, name: str) -> NDArray[np.float32]:
    """S [k, n] of what the candidate's tensor has more than the base's."""
    own, other = base.tensors[name], candidate.tensors[name]
    left, right = (part.astype(np.float32).T for part in (sketch.left, sketch.right))
    product = np.zeros(sketch.product.shape, np.float32)
    base_data, candidate_data = tensor_data(base), tensor_data(candidate)
    for span in spans(own):
        rows = read_rows(base_data, own, span)
        added = read_rows(candidate_data, other, span) - rows
        product += (rows @ left).T @ (added @ right)
    return product
