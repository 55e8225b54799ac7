"""Which candidates are tried, and when a job gives up."""

from __future__ import annotations

from pathlib import Path

import pytest

from shammah.config import GateConfig
from shammah.gate.checks import Check
from shammah.gate.judge import Report
from shammah_daemon.ladder import Rung, folder_of, next_rung, rungs

FULL = [Rung("Q6_K", 1.0), Rung("Q8_0", 1.0)]
WHOLE = [*FULL, Rung("Q8_0", 0.75), Rung("Q8_0", 0.5)]


def failing(*names: str) -> Report:
    checks = [
        Check(name, name not in names, "") for name in ("learned", "retained", "scoped", "sane")
    ]
    return Report(False, "Q8_0", 1.0, checks, [], [], 0.0, 0.0, 0.1, [], [], "")


def test_quantizations_come_first_and_then_weaker_adapters() -> None:
    gate = GateConfig()
    assert rungs(gate.quantizations, gate.scales, [768]) == WHOLE


def test_rows_that_no_k_quant_divides_leave_one_quantization() -> None:
    assert rungs(["Q6_K", "Q8_0"], [0.5, 0.75], [576]) == [
        Rung("Q8_0", 1.0), Rung("Q8_0", 0.75), Rung("Q8_0", 0.5),
    ]  # fmt: skip


def test_each_failure_leads_to_the_next_rung_and_the_last_to_none() -> None:
    for tried, expected in enumerate([*WHOLE, None]):
        assert next_rung(WHOLE, [failing("retained")] * tried) == expected


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([failing("learned"), failing("learned", "retained")], None),
        ([failing("learned"), failing("scoped")], WHOLE[2]),
        ([failing("learned")], WHOLE[1]),
    ],
    ids=["nothing learned", "learned, but it leaks", "a finer quantization may hold it"],
)
def test_a_weaker_adapter_is_tried_only_where_the_lessons_were_learned(
    failed: list[Report], expected: Rung | None
) -> None:
    assert next_rung(WHOLE, failed) == expected


def test_each_scale_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path, scale) for scale in (1.0, 0.75, 0.5)]
    assert folders == [tmp_path, tmp_path / "scale-0.75", tmp_path / "scale-0.5"]
