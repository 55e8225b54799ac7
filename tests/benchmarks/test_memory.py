"""What training takes of memory is what was predicted, measured on a child of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.memory import Case, Random, make_base, measure, write_job

MODEL = Random(vocabulary=8000, hidden=512, intermediate=1536, layers=8, heads=8, kv_heads=4)


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases") / "random"
    make_base(folder, MODEL)
    return folder


@pytest.mark.parametrize(
    "case",
    [
        Case("random", "bfloat16", 32, 250, 8),
        Case("random", "float32", 8, 250, 4, recompute=True),
    ],
    ids=lambda case: case.precision,
)
def test_the_peak_is_predicted_within_15_percent(
    base_dir: Path, tmp_path: Path, case: Case
) -> None:
    write_job(tmp_path / "job", base_dir, case, steps=4)
    peak = measure(tmp_path / "job", base_dir, case)
    assert abs(peak.error) < 0.15, peak
