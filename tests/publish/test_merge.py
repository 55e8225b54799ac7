from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, ReaderTensor, dequantize

from shammah.bases.gguf_header import Header, read_header
from shammah.errors import BaseModelError, JobError, StorageError
from shammah.publish.adapter import Adapter, permute_rows, read_adapter
from shammah.publish.merge import merge
from shammah.stage import Stop, Stopped
from tests.publish.adapters import ALPHA, RANK, random_tensors, write_peft
from tests.tiny import tiny_gguf

Q8_0, F16, F32 = (
    GGMLQuantizationType.Q8_0,
    GGMLQuantizationType.F16,
    GGMLQuantizationType.F32,
)


class Case(NamedTuple):
    base: Header
    adapter: Adapter


class Merged(NamedTuple):
    """A base and what was merged from it, as gguf reads both."""

    adapter: Adapter
    before: GGUFReader
    after: GGUFReader


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Merged:
    folder = tmp_path_factory.mktemp("merged")
    case = make_case(folder, request.param)
    run_merge(case, folder / "merged.gguf")
    return Merged(case.adapter, GGUFReader(case.base.path), GGUFReader(folder / "merged.gguf"))


@pytest.fixture
def case(tiny_base: Path, tmp_path: Path) -> Case:
    return case_of(tiny_base, tmp_path)


def make_case(
    folder: Path, architecture: str = "llama", tensor_type: GGMLQuantizationType = Q8_0
) -> Case:
    return case_of(tiny_gguf(architecture, folder, tensor_type=tensor_type), folder)


def case_of(gguf: Path, folder: Path) -> Case:
    base = read_header(gguf)
    return Case(base, read_adapter(write_peft(folder / "adapter", random_tensors(base)), base))


def run_merge(
    case: Case,
    path: Path,
    *,
    stop: Stop | None = None,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> None:
    merge(case.base, case.adapter, path, threads=2, stop=stop or Stop(), on_progress=on_progress)


def values(tensor: ReaderTensor) -> Any:
    return dequantize(tensor.data, tensor.tensor_type)


def test_each_target_is_the_base_plus_the_scaled_product(merged: Merged) -> None:
    before = {tensor.name: tensor for tensor in merged.before.tensors}
    after = {tensor.name: tensor for tensor in merged.after.tensors}
    assert len(merged.adapter.updates) == 14
    for name, update in merged.adapter.updates.items():
        expected = values(before[name]) + ALPHA / RANK * (update.b @ update.a)
        assert after[name].tensor_type == F16
        np.testing.assert_array_equal(after[name].data, expected.astype(np.float16))


def test_all_other_tensors_keep_their_values(merged: Merged) -> None:
    before, after = merged.before.tensors, merged.after.tensors
    assert [tensor.name for tensor in after] == [tensor.name for tensor in before]
    for old, new in zip(before, after, strict=True):
        if new.name in merged.adapter.updates:
            continue
        assert new.tensor_type == (F32 if len(new.shape) == 1 else F16)
        np.testing.assert_array_equal(new.data, values(old).astype(new.data.dtype))


def test_all_fields_but_the_file_type_stay_as_they_are(merged: Merged) -> None:
    before, after = (
        {
            key: (field.types, field.contents())
            for key, field in reader.fields.items()
            if not key.startswith("GGUF.")
        }
        for reader in (merged.before, merged.after)
    )
    assert after.pop("general.file_type")[1] == 1  # LLAMA_FTYPE_MOSTLY_F16
    before.pop("general.file_type", None)
    assert after == before


@pytest.mark.parametrize(
    "tensor_type", [F32, F16, GGMLQuantizationType.BF16, GGMLQuantizationType.Q4_0]
)
def test_any_type_of_base_is_merged(tensor_type: GGMLQuantizationType, tmp_path: Path) -> None:
    case = make_case(tmp_path, tensor_type=tensor_type)
    run_merge(case, tmp_path / "merged.gguf")
    merged = read_header(tmp_path / "merged.gguf")
    assert merged.tensors["blk.0.attn_q.weight"].type == F16
    assert merged.tensors["token_embd.weight"].type == (F32 if tensor_type == F32 else F16)


def test_rows_of_q_and_k_are_permuted_head_by_head() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    assert permute_rows(rows, heads=2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_progress_ends_at_one(case: Case, tmp_path: Path) -> None:
    fractions: list[float] = []
    run_merge(case, tmp_path / "merged.gguf", on_progress=fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_a_stopped_merge_leaves_no_file(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        run_merge(case, out / "merged.gguf", stop=stop)
    assert not list(out.iterdir())


def test_a_sum_beyond_f16_is_refused_and_leaves_no_file(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(JobError, match=r"blk\.\d\.\w+\.weight holds .* more than F16 can"):
        run_merge(Case(case.base, case.adapter.scaled(1e9)), out / "merged.gguf")
    assert not list(out.iterdir())


def test_an_earlier_file_survives_a_failed_merge(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "merged.gguf"
    path.write_bytes(b"the one before")
    with pytest.raises(JobError):
        run_merge(Case(case.base, case.adapter.scaled(1e9)), path)
    assert path.read_bytes() == b"the one before"


def test_a_truncated_base_is_refused(case: Case, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(case.base.path.read_bytes()[:-1000])
    with pytest.raises(BaseModelError, match="truncated"):
        run_merge(Case(read_header(short), case.adapter), tmp_path / "merged.gguf")
    assert not list(tmp_path.glob("merged*"))


def test_a_full_disk_is_told_before_anything_is_written(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(total=10**9, used=10**9 - 10**6, free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(StorageError, match="1 MB are free"):
        run_merge(case, tmp_path / "merged.gguf")
    assert not list(tmp_path.glob("merged*"))
