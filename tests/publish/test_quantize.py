from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType

from shammah.bases.gguf_header import encode_header, read_header
from shammah.errors import BaseModelError, JobError, StorageError, UsageError
from shammah.publish.quantizations import ladder
from shammah.publish.quantize import quantize
from shammah.stage import Stop, Stopped
from tests.tiny import tiny_gguf


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_gguf("llama", folder, tensor_type=GGMLQuantizationType.F16)


def run_quantize(
    source: Path,
    path: Path,
    type_name: str = "Q8_0",
    *,
    stop: Stop | None = None,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> None:
    quantize(source, path, type_name, threads=2, stop=stop or Stop(), on_progress=on_progress)


@pytest.mark.parametrize(
    ("wanted", "row_sizes", "expected"),
    [
        (["Q4_K_M", "Q6_K", "Q8_0"], [2048, 5632], ["Q4_K_M", "Q6_K", "Q8_0"]),
        (["Q4_K_M", "Q6_K", "Q8_0", "F16"], [576, 1536], ["Q8_0", "F16"]),
        (["Q4_K_M"], [576], ["Q8_0"]),
    ],
)
def test_the_ladder_uses_q8_0_where_rows_are_too_short_for_k_quants(
    wanted: list[str], row_sizes: list[int], expected: list[str]
) -> None:
    assert ladder(wanted, row_sizes) == expected


def test_the_ladder_refuses_an_unknown_type() -> None:
    with pytest.raises(UsageError, match="'Q3_X'"):
        ladder(["Q3_X"], [256])


def test_asking_for_the_ladder_loads_no_llama_cpp() -> None:
    code = "import sys, shammah.publish.quantize; assert 'llama_cpp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_matrices_are_quantized_and_vectors_are_not(merged: Path, tmp_path: Path) -> None:
    fractions: list[float] = []
    run_quantize(merged, tmp_path / "model-Q8_0.gguf", on_progress=fractions.append)
    tensors = read_header(tmp_path / "model-Q8_0.gguf").tensors
    assert tensors["blk.1.ffn_down.weight"].type == GGMLQuantizationType.Q8_0
    assert tensors["blk.1.ffn_norm.weight"].type == GGMLQuantizationType.F32
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_f16_is_the_merged_file_itself(merged: Path, tmp_path: Path) -> None:
    run_quantize(merged, tmp_path / "model-F16.gguf", "F16")
    assert (tmp_path / "model-F16.gguf").samefile(merged)


def test_f16_is_a_copy_where_there_are_no_hard_links(
    merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    run_quantize(merged, tmp_path / "model-F16.gguf", "F16")
    assert (tmp_path / "model-F16.gguf").read_bytes() == merged.read_bytes()


def test_llama_cpp_writes_nothing_to_stdout(
    merged: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_quantize(merged, tmp_path / "model-Q8_0.gguf")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "blk.0.attn_q.weight" in captured.err


def test_a_refusal_of_llama_cpp_is_told_in_its_words(tmp_path: Path) -> None:
    source, out = tmp_path / "nameless.gguf", tmp_path / "out"
    out.mkdir()
    header, _ = encode_header([], [("x.weight", (2, 32), GGMLQuantizationType.F16)], 32)
    source.write_bytes(header + bytes(2 * 32 * 2))
    with pytest.raises(JobError, match=r"nameless\.gguf to Q8_0: .*architecture"):
        run_quantize(source, out / "model-Q8_0.gguf")
    assert not list(out.iterdir())


def test_a_truncated_source_is_refused(merged: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(merged.read_bytes()[:-1000])
    with pytest.raises(BaseModelError, match="truncated"):
        run_quantize(short, tmp_path / "model-Q8_0.gguf")


def test_a_stopped_quantization_leaves_no_file(merged: Path, tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        run_quantize(merged, tmp_path / "model-Q8_0.gguf", stop=stop)
    assert not list(tmp_path.glob("model*"))


def test_a_full_disk_is_told_before_anything_is_written(
    merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(total=10**9, used=10**9 - 10**6, free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(StorageError, match="1 MB are free"):
        run_quantize(merged, tmp_path / "model-Q8_0.gguf")
    assert not list(tmp_path.glob("model*"))
