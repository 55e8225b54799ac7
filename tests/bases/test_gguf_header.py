from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter

from shammah.bases.gguf_header import ArrayField, encode_field, encode_header, read_header
from shammah.errors import BaseModelError
from tests.tiny import embedded_gguf

PREFIX_BYTES = 24


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A GGUF with fields of every kind and one tensor, in under 500 bytes."""
    path = tmp_path / "small.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_uint8("test.uint8", 1)
    writer.add_float64("test.float64", 0.25)
    writer.add_bool("test.bool", True)
    writer.add_array("test.strings", ["one", "two"])
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_custom_alignment(64)
    writer.add_tensor("test.weight", np.zeros((2, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_fields_and_tensors_are_those_that_gguf_reads() -> None:
    header, reader = read_header(embedded_gguf()), GGUFReader(embedded_gguf())
    expected = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert list(header.fields) == list(expected)
    for key, value in header.fields.items():
        contents = expected[key].contents()
        assert (value.length if isinstance(value, ArrayField) else value) == (
            len(contents) if isinstance(value, ArrayField) else contents
        )
    assert [
        (t.name, list(t.shape[::-1]), t.type, header.data_start + t.offset, t.size_bytes)
        for t in header.tensors.values()
    ] == [
        (t.name, t.shape.tolist(), t.tensor_type, t.data_offset, t.n_bytes) for t in reader.tensors
    ]


def test_an_encoded_header_is_read_as_it_was(small: Path) -> None:
    header = read_header(small)
    raw, infos = encode_header(
        header.raw_fields.values(),
        [(t.name, t.shape, t.type) for t in header.tensors.values()],
        header.alignment,
    )
    assert raw == small.read_bytes()[: header.data_start]
    assert infos == list(header.tensors.values())


def test_an_encoded_field_is_read_as_a_number(small: Path, tmp_path: Path) -> None:
    header = read_header(small)
    fields = [*header.raw_fields.values(), encode_field("llama.block_count", 2)]
    again = tmp_path / "again.gguf"
    again.write_bytes(encode_header(fields, [], 32)[0])
    assert read_header(again).integer("block_count") == 2


def test_a_complete_file_is_accepted(tiny_base: Path) -> None:
    read_header(tiny_base).check_complete()


def test_a_file_shorter_than_its_tensors_is_refused_with_both_sizes(
    tiny_base: Path, tmp_path: Path
) -> None:
    whole = tiny_base.read_bytes()
    short = tmp_path / "short.gguf"
    short.write_bytes(whole[:-40])
    header = read_header(short)
    with pytest.raises(BaseModelError, match=rf"{len(whole) - 40} of \d+ bytes"):
        header.check_complete()


def test_a_file_that_ends_anywhere_inside_its_header_is_refused(
    small: Path, tmp_path: Path
) -> None:
    raw = small.read_bytes()[: read_header(small).data_start]
    encoded = len(raw.rstrip(b"\0"))
    short = tmp_path / "short.gguf"
    for length in range(encoded):
        short.write_bytes(raw[:length])
        with pytest.raises(BaseModelError, match=r"short\.gguf"):
            read_header(short)


def test_a_damaged_header_raises_nothing_but_a_base_model_error(
    small: Path, tmp_path: Path
) -> None:
    whole = small.read_bytes()
    damaged = tmp_path / "damaged.gguf"
    refused = 0
    for position in range(PREFIX_BYTES, read_header(small).data_start):
        for value in (0x00, 0x7F, 0xFF):
            damaged.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                read_header(damaged).check_complete()
            except BaseModelError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip archive, say"])
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with pytest.raises(BaseModelError, match=r"other\.gguf is not a GGUF file"):
        read_header(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="No such file"):
        read_header(tmp_path / "missing.gguf")


def test_another_version_is_refused(small: Path) -> None:
    raw = bytearray(small.read_bytes())
    raw[4:8] = struct.pack("<I", 9)
    small.write_bytes(raw)
    with pytest.raises(BaseModelError, match="GGUF version 9"):
        read_header(small)


def test_one_part_of_several_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.gguf"
    path.write_bytes(encode_header([encode_field("split.count", 3)], [], 32)[0])
    with pytest.raises(BaseModelError, match="one part of 3"):
        read_header(path).check_complete()


def test_a_missing_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nameless.gguf"
    path.write_bytes(encode_header([], [], 32)[0])
    with pytest.raises(BaseModelError, match="architecture"):
        _ = read_header(path).architecture
