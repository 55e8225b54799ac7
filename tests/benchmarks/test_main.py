"""The command line of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main


def test_a_missing_lesson_file_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loop", "--lessons", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["speed"], ["--seeds", "0"], ["--json", "--markdown"]])
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
