"""The header of a GGUF file: read without its big arrays, written from raw fields.

Knows the container (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), not what a field
or a tensor means to a model.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from shammah.errors import BaseModelError

MAGIC: Final = b"GGUF"
VERSION: Final = 3
READABLE_VERSIONS: Final = (2, 3)  # 3 added big-endian files only
MAX_DIMENSIONS: Final = 4  # GGML_MAX_DIMS
DEFAULT_ALIGNMENT: Final = 32

_PREFIX = struct.Struct("<4sIQQ")  # magic, version, tensor count, field count
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_SCALARS: Final = {
    GGUFValueType.UINT8: struct.Struct("<B"),
    GGUFValueType.INT8: struct.Struct("<b"),
    GGUFValueType.UINT16: struct.Struct("<H"),
    GGUFValueType.INT16: struct.Struct("<h"),
    GGUFValueType.UINT32: _U32,
    GGUFValueType.INT32: struct.Struct("<i"),
    GGUFValueType.FLOAT32: struct.Struct("<f"),
    GGUFValueType.BOOL: struct.Struct("<?"),
    GGUFValueType.UINT64: _U64,
    GGUFValueType.INT64: struct.Struct("<q"),
    GGUFValueType.FLOAT64: struct.Struct("<d"),
}


@dataclass(frozen=True)
class ArrayField:
    """An array that was passed over: its length, and what it holds."""

    length: int
    element_type: GGUFValueType


FieldValue = int | float | bool | str | ArrayField


@dataclass(frozen=True)
class TensorInfo:
    """One tensor. `shape` is numpy's, rows first; `offset` counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int

    @property
    def row_size(self) -> int:
        """Elements in one row; quantization blocks never cross it."""
        return self.shape[-1]

    @property
    def row_bytes(self) -> int:
        block_size, block_bytes = GGML_QUANT_SIZES[self.type]
        return int(self.row_size // block_size * block_bytes)

    @property
    def size_bytes(self) -> int:
        return prod(self.shape[:-1]) * self.row_bytes


@dataclass(frozen=True)
class Header:
    """What stands before the tensor data of `path`."""

    path: Path
    fields: Mapping[str, FieldValue]
    raw_fields: Mapping[str, bytes]  # each whole field, key included, as it stands in the file
    tensors: Mapping[str, TensorInfo]  # in file order
    data_start: int
    file_bytes: int

    @property
    def architecture(self) -> str:
        name = self.fields.get("general.architecture")
        if not isinstance(name, str):
            raise BaseModelError(f"{self.path} does not name its architecture")
        return name

    @property
    def alignment(self) -> int:
        return _alignment(self.fields)

    def integer(self, key: str, default: int | None = None) -> int:
        """The whole number at `<architecture>.<key>`.

        Raises:
            BaseModelError: no such field and no default, or a field of another kind.
        """
        value = self.fields.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, int):
            raise BaseModelError(f"{self.path} has no whole number {self.architecture}.{key}")
        return value

    def number(self, key: str, default: float) -> float:
        """The number at `<architecture>.<key>`, or `default` where it is not given.

        Raises:
            BaseModelError: a field of another kind.
        """
        value = self.fields.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, int | float):
            raise BaseModelError(f"{self.path} has no number at {self.architecture}.{key}")
        return float(value)

    def row_sizes(self) -> list[int]:
        """The different row sizes of the tensors of two and more dimensions, ascending."""
        return sorted({t.row_size for t in self.tensors.values() if len(t.shape) > 1})

    def check_complete(self) -> None:
        """Make sure that the file holds every tensor that its header promises.

        Raises:
            BaseModelError: it is shorter, holds no tensor, or is one part of several.
        """
        if self.fields.get("split.count", 1) not in (0, 1):
            raise BaseModelError(
                f"{self.path} is one part of {self.fields['split.count']}",
                hint="join the parts with llama-gguf-split --merge",
            )
        if not self.tensors:
            raise BaseModelError(f"{self.path} holds no tensors")
        promised = self.data_start + max(t.offset + t.size_bytes for t in self.tensors.values())
        if self.file_bytes < promised:
            raise BaseModelError(
                f"{self.path} is truncated: {self.file_bytes} of {promised} bytes",
                hint="fetch or copy the file again",
            )


def read_header(path: Path) -> Header:
    """The header of the GGUF file at `path`; 98,000 vocabulary strings are passed in 20 ms.

    Raises:
        BaseModelError: no such file, not a GGUF, or one that ends inside its header.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BaseModelError(
                    f"{path} is not a GGUF file", hint="a GGUF file begins with the bytes 'GGUF'"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                return _parse(path, buffer)
    except OSError as error:
        raise BaseModelError(f"cannot read {path}: {error.strerror}") from error
    except (struct.error, OverflowError) as error:
        raise BaseModelError(
            f"{path} is truncated: it ends inside its header", hint="fetch or copy the file again"
        ) from error
    except ValueError as error:
        raise BaseModelError(f"{path} has a damaged header: {error}") from error


def encode_field(key: str, value: int) -> bytes:
    """A field that holds `value` as UINT32."""
    return _string(key) + _U32.pack(GGUFValueType.UINT32) + _U32.pack(value)


def encode_header(
    raw_fields: Iterable[bytes],
    tensors: Iterable[tuple[str, tuple[int, ...], GGMLQuantizationType]],
    alignment: int,
) -> tuple[bytes, list[TensorInfo]]:
    """The bytes before the data, padded to it, and where in the data each tensor goes."""
    fields = list(raw_fields)
    infos: list[TensorInfo] = []
    end = 0
    for name, shape, tensor_type in tensors:
        info = TensorInfo(name, shape, tensor_type, _aligned(end, alignment))
        end = info.offset + info.size_bytes
        infos.append(info)
    header = b"".join(
        [_PREFIX.pack(MAGIC, VERSION, len(infos), len(fields)), *fields, *map(_encode_info, infos)]
    )
    return header.ljust(_aligned(len(header), alignment), b"\0"), infos


class _Cursor:
    """Reads values one after the other; struct.error when the buffer ends too early."""

    def __init__(self, buffer: mmap.mmap, position: int) -> None:
        self.buffer = buffer
        self.position = position

    def number(self, layout: struct.Struct) -> int:
        value: int = layout.unpack_from(self.buffer, self.position)[0]
        self.position += layout.size
        return value

    def text(self) -> str:
        length = self.number(_U64)
        raw = self.buffer[self.position : self.position + length]
        if len(raw) < length:
            raise struct.error("string beyond the end")
        self.position += length
        return raw.decode(errors="replace")

    def value(self) -> FieldValue:
        value_type = GGUFValueType(self.number(_U32))
        if value_type is GGUFValueType.STRING:
            return self.text()
        if value_type is GGUFValueType.ARRAY:
            return self._pass_array()
        return self.number(_SCALARS[value_type])

    def _pass_array(self) -> ArrayField:
        element_type = GGUFValueType(self.number(_U32))
        length = self.number(_U64)
        if element_type is GGUFValueType.STRING:
            self._pass_strings(length)
        elif element_type is GGUFValueType.ARRAY:
            raise ValueError("an array of arrays")  # llama.cpp refuses them, too
        else:
            self.position += length * _SCALARS[element_type].size
        return ArrayField(length, element_type)

    def _pass_strings(self, count: int) -> None:
        # Local names: this loop runs once per token and once per merge of the vocabulary.
        buffer, position, unpack = self.buffer, self.position, _U64.unpack_from
        for _ in range(count):
            position += 8 + unpack(buffer, position)[0]
        self.position = position


def _parse(path: Path, buffer: mmap.mmap) -> Header:
    _, version, tensor_count, field_count = _PREFIX.unpack_from(buffer)
    if version not in READABLE_VERSIONS:
        raise BaseModelError(
            f"{path} has GGUF version {version}",
            hint=f"readable versions: {', '.join(map(str, READABLE_VERSIONS))}",
        )
    cursor = _Cursor(buffer, _PREFIX.size)
    fields: dict[str, FieldValue] = {}
    raw_fields: dict[str, bytes] = {}
    for _ in range(field_count):
        start = cursor.position
        key = cursor.text()
        fields[key] = cursor.value()
        raw_fields[key] = buffer[start : cursor.position]
    infos = [_read_info(cursor) for _ in range(tensor_count)]
    if cursor.position > len(buffer):
        raise struct.error("header beyond the end")
    return Header(
        path=path,
        fields=fields,
        raw_fields=raw_fields,
        tensors={info.name: info for info in infos},
        data_start=_aligned(cursor.position, _alignment(fields)),
        file_bytes=len(buffer),
    )


def _read_info(cursor: _Cursor) -> TensorInfo:
    name = cursor.text()
    dimensions = cursor.number(_U32)
    if not 0 < dimensions <= MAX_DIMENSIONS:
        raise ValueError(f"tensor {name} has {dimensions} dimensions")
    shape = tuple(cursor.number(_U64) for _ in range(dimensions))[::-1]
    tensor_type = GGMLQuantizationType(cursor.number(_U32))
    if shape[-1] % GGML_QUANT_SIZES[tensor_type][0]:
        raise ValueError(f"tensor {name} has rows of {shape[-1]} elements in {tensor_type.name}")
    return TensorInfo(name, shape, tensor_type, cursor.number(_U64))


def _encode_info(info: TensorInfo) -> bytes:
    dimensions = info.shape[::-1]
    return b"".join(
        [
            _string(info.name),
            _U32.pack(len(dimensions)),
            *map(_U64.pack, dimensions),
            _U32.pack(info.type),
            _U64.pack(info.offset),
        ]
    )


def _string(text: str) -> bytes:
    raw = text.encode()
    return _U64.pack(len(raw)) + raw


def _alignment(fields: Mapping[str, FieldValue]) -> int:
    value = fields.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"general.alignment is {value!r}")
    return value


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
