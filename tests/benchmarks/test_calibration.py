"""Which candidates calibrate the gate, and what is made of its verdicts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration, lessons
from benchmarks.calibration import Candidate, Result
from benchmarks.candidates import ARMS, configured, held, make, train, unpermuted
from shammah.config import EngineConfig
from shammah.engine.handle import Engine
from shammah.errors import UsageError
from shammah.publish.adapter import permute_rows
from shammah.records import Base
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.stages import Stages
from tests.running import TINY

GOOD = Candidate("seed 0", "Q8_0", True, True, [], "10/10", 0.05, 0.04, 0, 1.0, "10/10")
BAD = replace(GOOD, form="Q4_1", good=False, passed=False, failed=["learned"])


def test_at_least_ten_are_known_to_be_good_and_ten_to_be_bad() -> None:
    known = [arm.is_good(form) for arm in ARMS for form in arm.forms]
    assert known.count(True) >= 10
    assert known.count(False) >= 10


def test_every_arm_has_a_name_of_its_own_and_valid_settings() -> None:
    assert len({arm.name for arm in ARMS}) == len(ARMS)
    for arm in ARMS:
        configured(arm.settings)


def test_the_trap_arms_are_run_with_three_seeds() -> None:
    for trap in ("rejected answers", "no replay"):
        seeds = [arm.settings["seed"] for arm in ARMS if arm.name.startswith(trap)]
        assert seeds == [0, 1, 2]


async def test_an_arm_is_trained_by_the_products_own_stage(
    tiny_ground: Path, tiny_base: Path, tmp_path: Path
) -> None:
    ground = tiny_ground / TINY
    base = Base(**json.loads((ground / "base.json").read_bytes()))
    arm = replace(ARMS[0], settings={"min_steps": 2, "epochs": 1, "repeats": 1})
    engine = await Engine.start(tiny_base, EngineConfig(context_tokens=512))
    stages = Stages(Courtesy(), tmp_path)
    taught = lessons.load(lessons.OWN)[:2]
    await train(arm, taught, ["no", "no"], base, engine, stages, tmp_path, ground)
    await engine.close()
    assert json.loads((tmp_path / "train.json").read_bytes())["steps"] == 2
    whole = held(await make("F16", base, stages, tmp_path), base, tmp_path)
    assert all(share == pytest.approx(1, abs=0.05) for share in whole.values())
    swapped = held(await make("swapped rows", base, stages, tmp_path), base, tmp_path)
    assert {kind for kind, share in swapped.items() if share < 0.5} == {"q_proj", "k_proj"}


def test_swapping_rows_undoes_the_permutation() -> None:
    rows = np.arange(48, dtype=np.float32).reshape(24, 2)
    assert np.array_equal(unpermuted(permute_rows(rows, 3), 3), rows)
    assert not np.array_equal(permute_rows(rows, 3), rows)


def test_what_is_judged_wrongly_is_counted() -> None:
    result = Result([GOOD, BAD, replace(GOOD, passed=False), replace(BAD, passed=True)], 3, 5.0)
    assert result.wrong == result.candidates[2:]
    notes = " ".join(calibration.section(result).notes)
    assert "judged wrongly: 2" in notes
    assert "3 are not made yet" in notes


def test_an_unknown_arm_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no arm is called 'nonsense'"):
        calibration.run(lessons.load(lessons.OWN), tmp_path, ["nonsense"], print)
    assert list(tmp_path.iterdir()) == []


def test_too_few_lessons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs 20 lessons, the file holds 9"):
        calibration.run(lessons.load(lessons.OWN)[:9], tmp_path, [], print)
