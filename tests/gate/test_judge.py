"""The verdict follows the evidence: each check fails when its own evidence does, and only then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shammah.config import GateConfig
from shammah.gate.judge import (
    NLL_NOISE,
    Evidence,
    Report,
    judge,
    repeats,
    sign_test,
    summary,
)
from shammah.gate.measure import Answered, Case, CaseMeasure
from shammah.records import Level, Verdict

CONFIG = GateConfig()
PORTS = 10


def case(number: int, *, new: bool = True, level: Level = Level.MEDIUM) -> Case:
    """Teaches that service `number` listens on port 7000 + `number`."""
    return Case(
        example_id=number,
        level=level,
        new=new,
        question=f"Which port does service {chr(96 + number)} use?",
        target_text=f"It uses port {7000 + number}.",
        asked=[1],
        held_out=[[2], [3]],
        target=[4, 5],
        rejected=None,
    )


def right(number: int) -> Answered:
    return Answered(f"Port {7000 + number}.", ended=True, tokens=5)


WRONG = Answered("Port 80.", ended=True, tokens=3)
ENDLESS = Answered("Port 80 and then", ended=False, tokens=60)


def measured(
    number: int, *answers: Answered, nll: float = 0.1, rejected_nll: float | None = None
) -> CaseMeasure:
    """What the candidate makes of case `number`; by default it answers right."""
    return CaseMeasure(
        example_id=number,
        nll=[nll, nll],
        rejected_nll=rejected_nll,
        answers=list(answers) or [right(number)] * 3,
    )


def evidence(*cases: Case) -> Evidence:
    """All is well with `cases`."""
    return Evidence(
        cases=cases,
        nll_before=[3.0] * len(cases),
        held_before=[not case.new for case in cases],
        after=[measured(case.example_id) for case in cases],
        kl=[0.01, 0.03],
        general=[Answered(f"Answer {i}.", True, 3) for i in range(8)],
        general_by_base=[f"Answer {i}." for i in range(8)],
    )


NEW = evidence(*(case(number) for number in range(1, PORTS + 1)))
OLD = evidence(*(case(number, new=number == 1) for number in range(1, 6)))


def with_after(given: Evidence, *changed: CaseMeasure) -> Evidence:
    by_id = {measure.example_id: measure for measure in changed}
    return replace(given, after=[by_id.get(m.example_id, m) for m in given.after])


def verdict(given: Evidence) -> Report:
    return judge(given, CONFIG, "Q6_K")


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


@pytest.mark.parametrize("given", [NEW, OLD, evidence(case(1))])
def test_good_evidence_passes(given: Evidence) -> None:
    report = verdict(given)
    assert report.passed
    assert report.warnings == []


# learned


def test_too_few_right_answers_fail_learned() -> None:
    wrong = [measured(number, WRONG, WRONG, WRONG) for number in range(1, 7)]
    assert failed(verdict(with_after(NEW, *wrong))) == ["learned"]


def test_exactly_enough_right_answers_pass() -> None:
    wrong = [measured(number, WRONG, WRONG, WRONG) for number in range(1, 6)]
    assert verdict(with_after(NEW, *wrong)).passed


def test_targets_that_did_not_become_likelier_fail_learned() -> None:
    given = replace(NEW, nll_before=[0.1] * PORTS)
    wrong = measured(1, WRONG, WRONG, WRONG)
    assert failed(verdict(with_after(given, wrong))) == ["learned"]


def test_below_five_examples_each_must_improve() -> None:
    given = evidence(*(case(number) for number in range(1, 5)))
    worse = measured(1, WRONG, WRONG, WRONG, nll=3.0 + NLL_NOISE / 2)
    assert failed(verdict(with_after(given, worse))) == ["learned"]


def test_what_held_already_need_not_become_likelier() -> None:
    assert verdict(replace(evidence(case(1)), nll_before=[0.05])).passed


def test_a_critical_example_that_got_worse_fails_learned() -> None:
    worse = measured(1, WRONG, WRONG, WRONG, nll=3.0 + 2 * NLL_NOISE)
    critical = evidence(
        *(case(n, level=Level.CRITICAL if n == 1 else Level.GOOD) for n in range(1, PORTS + 1))
    )
    report = verdict(with_after(critical, worse))
    assert failed(report) == ["learned"]
    assert "example 1" in report.checks[0].detail
    assert verdict(with_after(NEW, worse)).passed  # the same on a medium one


def test_a_rise_within_the_noise_is_not_worse() -> None:
    noisy = measured(1, WRONG, WRONG, WRONG, nll=3.0 + NLL_NOISE / 2)
    assert verdict(with_after(NEW, noisy)).verdicts[0].verdict is Verdict.STILL_WRONG


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([True, True, True], Verdict.LEARNED),
        ([True, True, False], Verdict.LEARNED),
        ([True, False, False], Verdict.STILL_WRONG),
        ([False, True, True], Verdict.STILL_WRONG),
    ],
)
def test_learned_needs_the_question_itself_and_half_of_the_other_phrasings(
    answers: list[bool], expected: Verdict
) -> None:
    measure = measured(1, *(right(1) if holds else WRONG for holds in answers))
    assert verdict(with_after(NEW, measure)).verdicts[0].verdict is expected


def test_an_answer_that_never_ends_does_not_hold() -> None:
    endless = replace(right(1), ended=False)
    found = verdict(with_after(NEW, measured(1, endless, endless, endless))).verdicts[0]
    assert found.holds == [False, False, False]


@pytest.mark.parametrize(("rejected_nll", "prefers"), [(2.0, True), (0.05, False), (None, None)])
def test_whether_the_target_is_preferred_is_reported(
    rejected_nll: float | None, prefers: bool | None
) -> None:
    measure = measured(1, rejected_nll=rejected_nll)
    assert verdict(with_after(NEW, measure)).verdicts[0].prefers_target is prefers


# retained


def test_a_high_kl_fails_retained() -> None:
    assert failed(verdict(replace(NEW, kl=[CONFIG.max_kl * 2]))) == ["retained"]


def test_a_kl_between_the_limits_warns() -> None:
    report = verdict(replace(NEW, kl=[(CONFIG.warn_kl + CONFIG.max_kl) / 2]))
    assert report.passed
    assert len(report.warnings) == 1


def test_a_lost_lesson_fails_retained() -> None:
    report = verdict(with_after(OLD, measured(3, WRONG, WRONG, WRONG)))
    assert failed(report) == ["retained"]
    assert "lost: example 3" in report.checks[1].detail


def test_a_lesson_that_did_not_hold_before_cannot_be_lost() -> None:
    given = replace(OLD, held_before=[False] * 5)
    assert verdict(with_after(given, measured(3, WRONG, WRONG, WRONG))).passed


def test_one_of_twenty_may_be_lost_unless_it_is_critical() -> None:
    lost = measured(2, WRONG, WRONG, WRONG)
    for level, expected in ((Level.GOOD, []), (Level.CRITICAL, ["retained"])):
        cases = [case(1), *(case(n, new=False, level=level) for n in range(2, 22))]
        assert failed(verdict(with_after(evidence(*cases), lost))) == expected


# scoped


def test_taught_text_in_a_general_answer_fails_scoped() -> None:
    general = [*NEW.general[:7], right(4)]
    report = verdict(replace(NEW, general=general))
    assert failed(report) == ["scoped"]
    assert report.checks[2].detail.endswith("from example 4")


def test_what_the_base_says_too_is_no_leak() -> None:
    given = replace(
        NEW,
        general=[*NEW.general[:7], right(4)],
        general_by_base=[*NEW.general_by_base[:7], right(4).text],
    )
    assert verdict(given).passed


# sane


@pytest.mark.parametrize(
    "bad",
    [
        ENDLESS,
        Answered(" \n", ended=True, tokens=1),
        Answered("so it goes on " * 5, ended=True, tokens=20),
    ],
    ids=["endless", "empty", "repetitive"],
)
def test_insane_general_answers_fail_sane(bad: Answered) -> None:
    assert failed(verdict(replace(NEW, general=[bad, bad, *NEW.general[2:]]))) == ["sane"]
    assert verdict(replace(NEW, general=[bad, *NEW.general[1:]])).passed


def test_insane_answers_to_lessons_fail_sane() -> None:
    endless = [measured(n, right(n), right(n), ENDLESS) for n in range(1, PORTS + 1)]
    assert failed(verdict(with_after(NEW, *endless))) == ["sane"]


# pieces


@pytest.mark.parametrize(
    ("improved", "total", "p"),
    [(5, 5, 1 / 32), (4, 5, 6 / 32), (10, 10, 1 / 1024), (0, 7, 1.0), (9, 10, 11 / 1024)],
)
def test_sign_test_is_exact(improved: int, total: int, p: float) -> None:
    assert sign_test(improved, total) == p


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no no no no no no no no", True),
        ("no no no no no no no", False),
        ("he said that " * 4, True),
        ("he said that " * 3, False),
        ("First: " + "One two three. " * 4, True),
        ("a b " * 8, True),
        ("a b " * 7, False),
        ("", False),
        ("Every word of this sentence differs from each other one.", False),
    ],
)
def test_repeats(text: str, expected: bool) -> None:
    assert repeats(text) is expected


@pytest.mark.parametrize(
    ("wrong", "given", "expected"),
    [
        ([], NEW, "learned 10 of 10"),
        ([2, 3], NEW, "learned 8 of 10; 2 still wrong"),
        ([], OLD, "learned 1 of 1; 4 of 4 earlier ones hold"),
        ([1, 3], OLD, "learned 0 of 1; 1 still wrong; 3 of 4 earlier ones hold; 1 still wrong"),
    ],
)
def test_the_summary_counts(wrong: Sequence[int], given: Evidence, expected: str) -> None:
    changed = with_after(given, *(measured(n, WRONG, WRONG, WRONG) for n in wrong))
    assert verdict(changed).summary == expected


def test_the_summary_tells_what_got_worse() -> None:
    worse = measured(1, WRONG, WRONG, WRONG, nll=9.0)
    assert verdict(with_after(NEW, worse)).summary == "learned 9 of 10; 1 got worse"


def test_the_summary_of_nothing() -> None:
    assert summary([]) == "nothing was taught"


def test_a_report_is_plain_data() -> None:
    report = verdict(NEW).as_dict()
    assert report["passed"] is True
    assert {check["name"] for check in report["checks"]} == {
        "learned",
        "retained",
        "scoped",
        "sane",
    }
    assert report["verdicts"][0]["verdict"] == "learned"
