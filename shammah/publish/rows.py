"""Rows of a GGUF file's tensors as float32, span by span: memory does not grow with the model."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from gguf import dequantize
from numpy.typing import NDArray

from shammah.bases.gguf_header import Header, TensorInfo
from shammah.errors import BaseModelError

#: Elements of one span: 1 MB as float32, which stays in a core's cache while it is worked on.
SPAN_ELEMENTS = 1 << 18

#: The first row of a span and the one after its last.
Span = tuple[int, int]


def tensor_data(header: Header) -> NDArray[np.uint8]:
    """The file's tensors, mapped into memory; offsets of `TensorInfo` count from its beginning."""
    return np.memmap(header.path, np.uint8, mode="r", offset=header.data_start)


def spans(tensor: TensorInfo) -> Iterator[Span]:
    """All of its rows."""
    rows = prod(tensor.shape[:-1])
    step = max(1, SPAN_ELEMENTS // tensor.row_size)
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def read_rows(data: NDArray[np.uint8], tensor: TensorInfo, rows: Span) -> NDArray[np.float32]:
    """[rows, columns] of a span.

    Raises:
        BaseModelError: it has a type that gguf cannot dequantize.
    """
    first, last = rows
    raw = data[tensor.offset + first * tensor.row_bytes : tensor.offset + last * tensor.row_bytes]
    try:
        # One row of bytes: gguf works through 16 rows at a time, which is slow on short ones.
        flat: NDArray[np.float32] = dequantize(raw.reshape(1, -1), tensor.type)
    except NotImplementedError as error:
        raise BaseModelError(
            f"tensor {tensor.name} has the type {tensor.type.name}, which cannot be dequantized",
            hint="use a GGUF file of the same model with another quantization",
        ) from error
    return flat.reshape(-1, tensor.row_size)
