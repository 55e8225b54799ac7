"""How learning results are shown."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.learning import (
    Asked,
    Leak,
    LessonScore,
    Result,
    Scores,
    SeedResult,
    lesson_lines,
    section,
)
from benchmarks.scores import Score

SCORED = SeedResult(
    seed=0,
    state="promoted",
    summary="learned 1 of 1.",
    quantization="Q6_K",
    kl_gate=0.02,
    learned=Score(1, 1),
    stages={"merging": 1.0},
    job_seconds=1.0,
    training_seconds=0.5,
    settings={},
    scores=Scores(
        same=Score(1, 1),
        near=Score(2, 3),
        paraphrase=Score(1, 2),
        leak=Score(1, 30),
        kl=0.05,
        verdicts_agree=Score(1, 1),
        lessons=[LessonScore("Ada", "learned", [Asked("same", "Who?", "Ada\nis.", True)])],
        leaks=[Leak("Why?", "Ada.", ["Ada"])],
    ),
)
REJECTED = replace(SCORED, seed=1, state="rejected", summary="too far from the base.", scores=None)


def test_a_rejected_seed_has_no_scores_and_says_why() -> None:
    shown = section(Result(1, [SCORED, REJECTED]))
    assert shown.columns == ("score", "seed 0", "seed 1")
    assert ("near wording", "2/3", "-") in shown.rows
    assert "Seed 1: too far from the base." in shown.notes


def test_every_question_is_one_line() -> None:
    assert lesson_lines(Result(1, [SCORED, REJECTED])) == [
        "seed 0, 'Ada': the gate says learned",
        "  + same: Who? | Ada is.",
        "  leak of Ada: Why? | Ada.",
    ]
