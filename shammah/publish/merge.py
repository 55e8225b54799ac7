"""Adds an adapter to a base GGUF and writes the sum as F16; knows no torch and no llama.cpp.

Tensors go through in spans of rows, so that memory does not grow with the model, and the header's
fields are copied as raw bytes, so that none can change on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial as bind
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType
from numpy.typing import NDArray

from shammah.bases.gguf_header import (
    Header,
    TensorInfo,
    encode_field,
    encode_header,
    read_header,
)
from shammah.errors import JobError
from shammah.files import building, require_space
from shammah.publish.adapter import Adapter
from shammah.publish.rows import Span, read_rows, spans, tensor_data
from shammah.stage import Stop, Stopped

F16 = GGMLQuantizationType.F16
F32 = GGMLQuantizationType.F32
FILE_TYPE = "general.file_type"


def merge(
    base: Header,
    adapter: Adapter,
    path: Path,
    *,
    threads: int,
    stop: Stop,
    on_progress: Callable[[float], None],
) -> None:
    """Write `base` plus `adapter`, summed in float32, to `path` as F16.

    Vectors stay F32, as llama.cpp wants norms and biases; so do matrices that are F32 in the base
    and that the adapter leaves alone. `on_progress` gets the fraction that is done.

    Raises:
        BaseModelError: the base is cut short, or has a type that gguf cannot dequantize.
        JobError: a sum does not fit F16.
        StorageError: the disk is full or the place is not writable.
        Stopped: `stop` was set. Nothing is left behind, here and above.
    """
    base.check_complete()
    sources = list(base.tensors.values())
    header, targets = encode_header(
        _merged_fields(base),
        [(source.name, source.shape, _merged_type(source, adapter)) for source in sources],
        base.alignment,
    )
    require_space(path.parent, len(header) + targets[-1].offset + targets[-1].size_bytes)
    slabs = [slab for pair in zip(sources, targets, strict=True) for slab in _slabs(*pair)]
    with building(path) as partial:
        with partial.open("wb") as file, ThreadPoolExecutor(threads) as pool:
            _write_at(file.fileno(), memoryview(header), 0)
            work = bind(_merge_slab, tensor_data(base), adapter, file.fileno(), len(header))
            for done, _ in enumerate(pool.map(work, slabs), start=1):
                on_progress(done / len(slabs))
                if stop.is_set():
                    pool.shutdown(cancel_futures=True)
                    raise Stopped
        read_header(partial).check_complete()


@dataclass(frozen=True)
class _Slab:
    """Consecutive rows of one tensor, as they stand in the base and in the merged file."""

    source: TensorInfo
    target: TensorInfo
    rows: Span


def _slabs(source: TensorInfo, target: TensorInfo) -> Iterator[_Slab]:
    return (_Slab(source, target, rows) for rows in spans(source))


def _merge_slab(
    data: NDArray[np.uint8], adapter: Adapter, file: int, data_start: int, slab: _Slab
) -> None:
    source, target = slab.source, slab.target
    first, last = slab.rows
    rows = adapter.apply(source.name, read_rows(data, source, slab.rows), first, last)
    merged: NDArray[Any] = rows if target.type is F32 else _to_f16(rows, source.name)
    _write_at(file, merged.data.cast("B"), data_start + target.offset + first * target.row_bytes)


def _to_f16(rows: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    with np.errstate(over="raise"):
        try:
            return rows.astype(np.float16)
        except FloatingPointError as error:
            raise JobError(
                f"tensor {name} holds {np.abs(rows).max():.3g}, more than F16 can",
                hint="train with a smaller learning rate",
            ) from error


def _merged_type(source: TensorInfo, adapter: Adapter) -> GGMLQuantizationType:
    if len(source.shape) == 1 or (source.type is F32 and source.name not in adapter.updates):
        return F32
    return F16


def _merged_fields(base: Header) -> Sequence[bytes]:
    fields = {FILE_TYPE: encode_field(FILE_TYPE, LlamaFileType.MOSTLY_F16)}
    return [*({**base.raw_fields, **fields}).values()]


def _write_at(file: int, data: memoryview, offset: int) -> None:
    """All of `data`; pwrite alone may write a part of it."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
