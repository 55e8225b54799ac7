"""The verdict follows the evidence: each check fails when its own evidence does, and only then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from shammah.config import GateConfig
from shammah.gate.checks import OUTLIER_FROM, repeats
from shammah.gate.evidence import GENERAL_TOKENS, Before, Evidence, General, Origin
from shammah.gate.judge import Report, conclude, judge
from shammah.gate.measure import Answered, Case, CaseMeasure, Probe
from shammah.gate.verdicts import NLL_NOISE, summary
from shammah.records import Level, Verdict

CONFIG = GateConfig()
PORTS = 10
GENERAL = 20


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
        in_conversation=[6],
        target=[4, 5],
        rejected=None,
        watched=new,
    )


def right(number: int) -> Answered:
    return Answered(f"Port {7000 + number}.", ended=True, tokens=5)


WRONG = Answered("Port 80.", ended=True, tokens=3)
ALL_WRONG = [WRONG] * 4
ENDLESS = Answered("Port 80 and then", ended=False, tokens=60)


def measured(
    number: int, *answers: Answered, nll: float = 0.1, rejected_nll: float | None = None
) -> CaseMeasure:
    """What the candidate makes of case `number`; by default it answers right."""
    return CaseMeasure(
        example_id=number,
        nll=[nll, nll],
        rejected_nll=rejected_nll,
        answers=list(answers) or [right(number)] * 4,
    )


def probe(number: int, base_answer: str = "") -> Probe:
    return Probe(f"Question {number}?", base_answer or f"Answer {number}.", [1], [2, 3], [])


def general(number: int, answer: Answered | None = None, base_answer: str = "") -> General:
    """By default what the base says too."""
    answer = answer or Answered(f"Answer {number}.", True, 3)
    return General(probe(number, base_answer), answer)


def evidence(*cases: Case) -> Evidence:
    """All is well with `cases`."""
    return Evidence(
        cases=cases,
        before=[
            Before(3.0) if case.new else Before(3.0, learned=True, holds=[True] * 4)
            for case in cases
        ],
        after=[measured(case.example_id) for case in cases],
        probes=[probe(number) for number in range(GENERAL)],
        kl=[0.01, 0.03] * (GENERAL // 2),
        general=[general(number) for number in range(8)],
    )


NEW = evidence(*(case(number) for number in range(1, PORTS + 1)))
OLD = evidence(*(case(number, new=number == 1) for number in range(1, 6)))


def with_after(given: Evidence, *changed: CaseMeasure) -> Evidence:
    by_id = {measure.example_id: measure for measure in changed}
    return replace(given, after=[by_id.get(m.example_id, m) for m in given.after])


def verdict(given: Evidence) -> Report:
    return judge(given, CONFIG, "Q6_K")


def with_general(given: Evidence, *changed: General) -> Evidence:
    return replace(given, general=[*changed, *given.general[len(changed) :]])


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


@pytest.mark.parametrize("given", [NEW, OLD, evidence(case(1))])
def test_good_evidence_passes(given: Evidence) -> None:
    report = verdict(given)
    assert report.passed
    assert report.warnings == []


# learned


@pytest.mark.parametrize(
    ("new", "needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (10, 7), (20, 14)]
)
def test_seven_tenths_of_the_answers_must_hold_rounded_down_at_least_one(
    new: int, needed: int
) -> None:
    given = evidence(*(case(number) for number in range(1, new + 1)))
    enough = [measured(number, *ALL_WRONG) for number in range(1, new - needed + 1)]
    assert verdict(with_after(given, *enough)).passed
    too_few = [*enough, measured(new - needed + 1, *ALL_WRONG)]
    report = verdict(with_after(given, *too_few))
    assert failed(report) == ["learned"]
    assert f"at least {needed} must" in report.checks[0].detail


def test_targets_that_did_not_become_likelier_fail_learned() -> None:
    given = replace(NEW, before=[Before(0.1)] * PORTS)
    wrong = measured(1, *ALL_WRONG)
    assert failed(verdict(with_after(given, wrong))) == ["learned"]


def test_below_five_examples_each_must_improve() -> None:
    given = evidence(*(case(number) for number in range(1, 5)))
    worse = measured(1, *ALL_WRONG, nll=3.0 + NLL_NOISE / 2)
    assert failed(verdict(with_after(given, worse))) == ["learned"]


def test_what_held_already_need_not_become_likelier() -> None:
    assert verdict(replace(evidence(case(1)), before=[Before(0.05)])).passed


def test_a_critical_example_that_got_worse_fails_learned() -> None:
    worse = measured(1, *ALL_WRONG, nll=3.0 + 2 * NLL_NOISE)
    critical = evidence(
        *(case(n, level=Level.CRITICAL if n == 1 else Level.GOOD) for n in range(1, PORTS + 1))
    )
    report = verdict(with_after(critical, worse))
    assert failed(report) == ["learned"]
    assert "example 1" in report.checks[0].detail
    assert verdict(with_after(NEW, worse)).passed  # the same on a medium one


def test_a_rise_within_the_noise_is_not_worse() -> None:
    noisy = measured(1, *ALL_WRONG, nll=3.0 + NLL_NOISE / 2)
    assert verdict(with_after(NEW, noisy)).verdicts[0].verdict is Verdict.STILL_WRONG


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([True, True, True, True], Verdict.LEARNED),
        ([True, True, False, True], Verdict.LEARNED),
        ([True, False, False, True], Verdict.STILL_WRONG),
        ([False, True, True, True], Verdict.STILL_WRONG),
        ([True, True, True, False], Verdict.STILL_WRONG),
    ],
)
def test_learned_needs_the_question_alone_and_in_a_conversation_and_half_of_the_phrasings(
    answers: list[bool], expected: Verdict
) -> None:
    measure = measured(1, *(right(1) if holds else WRONG for holds in answers))
    assert verdict(with_after(NEW, measure)).verdicts[0].verdict is expected


def test_an_answer_that_never_ends_does_not_hold() -> None:
    endless = replace(right(1), ended=False)
    found = verdict(with_after(NEW, measured(1, *[endless] * 4))).verdicts[0]
    assert found.holds == [False] * 4


@pytest.mark.parametrize(("rejected_nll", "prefers"), [(2.0, True), (0.05, False), (None, None)])
def test_whether_the_target_is_preferred_is_reported(
    rejected_nll: float | None, prefers: bool | None
) -> None:
    measure = measured(1, rejected_nll=rejected_nll)
    assert verdict(with_after(NEW, measure)).verdicts[0].prefers_target is prefers


def test_rejected_answers_that_stay_likelier_fail_learned() -> None:
    contested = [measured(n, rejected_nll=2.0 if n > 4 else 0.05) for n in range(1, PORTS + 1)]
    report = verdict(with_after(NEW, *contested))
    assert failed(report) == ["learned"]
    assert "6 of 10 rejected answers are less likely" in report.checks[0].detail
    assert "rejected answer is still likelier" in report.verdicts[0].why


def test_one_of_many_rejected_answers_may_stay_likelier() -> None:
    contested = [measured(n, rejected_nll=2.0 if n > 1 else 0.05) for n in range(1, PORTS + 1)]
    assert verdict(with_after(NEW, *contested)).passed


def test_of_few_rejected_answers_none_may_stay_likelier() -> None:
    given = evidence(*(case(number) for number in range(1, 5)))
    assert failed(verdict(with_after(given, measured(1, rejected_nll=0.05)))) == ["learned"]


def test_one_phrasing_does_not_decide_whether_a_target_became_likelier() -> None:
    given = evidence(replace(case(1), held_out=[[2], [3], [4]]))
    measure = replace(measured(1, *[right(1)] * 4), nll=[0.1, 0.2, 90.0])
    assert verdict(with_after(given, measure)).verdicts[0].nll_after == 0.2


# retained


def test_a_high_kl_fails_retained() -> None:
    assert failed(verdict(replace(NEW, kl=[CONFIG.max_kl * 2] * GENERAL))) == ["retained"]


def test_a_kl_between_the_limits_warns() -> None:
    middle = (CONFIG.max_kl + CONFIG.warn_kl) / 2
    report = verdict(replace(NEW, kl=[middle] * GENERAL))
    assert report.passed
    assert len(report.warnings) == 1


def test_one_general_question_alone_does_not_reject_but_is_named() -> None:
    spiked = [0.01] * (OUTLIER_FROM - 1) + [CONFIG.max_kl * 100]
    report = verdict(replace(NEW, kl=spiked))
    assert report.passed
    assert f"“Question {GENERAL - 1}?”" in report.warnings[0]


def test_two_general_questions_do_reject_though_the_median_is_low() -> None:
    spiked = [0.01] * (OUTLIER_FROM - 2) + [CONFIG.max_kl * 100] * 2
    assert failed(verdict(replace(NEW, kl=spiked))) == ["retained"]


def test_of_few_general_questions_each_counts() -> None:
    few = OUTLIER_FROM - 1
    given = replace(NEW, probes=NEW.probes[:few], kl=[0.01] * (few - 1) + [CONFIG.max_kl * 100])
    assert failed(verdict(given)) == ["retained"]


def test_a_lost_lesson_fails_retained() -> None:
    report = verdict(with_after(OLD, measured(3, *ALL_WRONG)))
    assert failed(report) == ["retained"]
    assert "lost: example 3" in report.checks[1].detail


def test_a_lesson_that_did_not_hold_before_cannot_be_lost() -> None:
    given = replace(OLD, before=[Before(3.0)] * 5)
    assert verdict(with_after(given, measured(3, *ALL_WRONG))).passed


@pytest.mark.parametrize(
    ("level", "nll", "expected"),
    [
        (Level.GOOD, 9.0, []),
        (Level.CRITICAL, 0.1, []),  # the answer tipped over, the target is as likely as ever
        (Level.CRITICAL, 9.0, ["retained"]),
    ],
)
def test_one_of_twenty_may_be_lost_unless_a_critical_one_got_worse(
    level: Level, nll: float, expected: list[str]
) -> None:
    lost = measured(2, *ALL_WRONG, nll=nll)
    cases = [case(1), *(case(n, new=False, level=level) for n in range(2, 22))]
    assert failed(verdict(with_after(evidence(*cases), lost))) == expected


def test_two_of_twenty_may_not_be_lost() -> None:
    cases = [case(1), *(case(n, new=False) for n in range(2, 22))]
    lost = [measured(n, *ALL_WRONG) for n in (2, 3)]
    assert failed(verdict(with_after(evidence(*cases), *lost))) == ["retained"]


def test_a_decline_spread_over_many_lessons_fails_retained_though_none_is_lost() -> None:
    cases = [case(1), *(case(n, new=False) for n in range(2, 22))]
    given = evidence(*cases)
    for dented, expected in ((4, []), (5, ["retained"])):
        weaker = [measured(n, right(n), right(n), WRONG, right(n)) for n in range(2, 2 + dented)]
        assert failed(verdict(with_after(given, *weaker))) == expected


def test_what_holds_but_became_less_sure_is_warned_of() -> None:
    given = replace(OLD, before=[Before(0.1, learned=True, holds=[True] * 4)] * 5)
    report = verdict(with_after(given, measured(3, nll=0.1 + 2 * NLL_NOISE)))
    assert report.passed
    assert report.warnings == ["still right, but less sure than before: example 3"]


# scoped


def test_taught_text_in_general_answers_fails_scoped() -> None:
    leaks = [general(0, right(4)), general(1, right(4))]
    report = verdict(with_general(NEW, *leaks))
    assert failed(report) == ["scoped"]
    assert "“Question 0?” (example 4), “Question 1?” (example 4)" in report.checks[2].detail


def test_one_leak_of_twenty_is_warned_of() -> None:
    report = verdict(with_general(NEW, general(0, right(4))))
    assert report.passed
    assert "“Question 0?” (example 4)" in report.warnings[0]


def test_no_leak_passes_where_none_is_allowed() -> None:
    strict = GateConfig(max_leaks=0)
    assert judge(NEW, strict, "Q8_0").passed
    leaking = with_general(NEW, general(0, right(4)))
    assert failed(judge(leaking, strict, "Q8_0")) == ["scoped"]


def test_what_the_base_says_too_is_no_leak() -> None:
    same = [general(n, right(4), base_answer=right(4).text) for n in range(2)]
    assert verdict(with_general(NEW, *same)).passed


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("Always sweep the kitchen, then water the garden.", ["scoped"]),
        ("Water the garden.", []),  # two ordinary words are in many a good answer
    ],
)
def test_ordinary_words_leak_only_where_they_are_many(target: str, expected: list[str]) -> None:
    soft = replace(case(1), question="What comes next?", target_text=target)
    given = evidence(soft, *(case(n) for n in range(2, PORTS + 1)))
    holding = Answered(target, ended=True, tokens=9)
    given = with_after(given, measured(1, *[holding] * 4))
    leaks = [general(n, holding) for n in range(2)]
    assert failed(verdict(with_general(given, *leaks))) == expected


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
    assert failed(verdict(with_general(NEW, general(0, bad), general(1, bad)))) == ["sane"]
    report = verdict(with_general(NEW, general(0, bad)))
    assert report.passed
    assert report.warnings == ["the answer goes on or in circles: “Question 0?”"]


def test_a_general_answer_may_be_cut_where_the_base_goes_on_too() -> None:
    long = replace(probe(0), answer=[2] * (GENERAL_TOKENS // 2))
    assert verdict(with_general(NEW, General(long, ENDLESS), General(long, ENDLESS))).passed


def test_insane_answers_to_lessons_fail_sane() -> None:
    endless = [measured(n, right(n), right(n), ENDLESS, right(n)) for n in range(1, PORTS + 1)]
    assert failed(verdict(with_after(NEW, *endless))) == ["sane"]


# pieces


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
        ("Y:Z:" * 4, False),
        ("Y:Z:" * 8, True),
        ("7 7 7 7 7 7 7 7", True),
        ("1. Viola 2. Viola 3. Viola 4. Viola 5. Viola 6. Viola 7. Viola 8. Viola", True),
        ("1, 2, 3, 4, 5, 6, 7, 8, 9, 10", False),
        ("1. Bach 2. Verdi 3. Ravel 4. Satie 5. Elgar 6. Grieg 7. Haydn 8. Liszt", False),
        ("|---|---|---|---|---|---|---|---|", False),
        ("Wait " + "." * 20, False),
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
    changed = with_after(given, *(measured(n, *ALL_WRONG) for n in wrong))
    assert verdict(changed).summary == expected


def test_the_summary_tells_what_got_worse() -> None:
    worse = measured(1, *ALL_WRONG, nll=9.0)
    assert verdict(with_after(NEW, worse)).summary == "learned 9 of 10; 1 got worse"


def test_the_summary_of_nothing() -> None:
    assert summary([]) == "nothing was taught"


def test_the_reason_says_which_wordings_failed_and_how_likely_the_target_is() -> None:
    measure = measured(1, right(1), WRONG, right(1), WRONG, nll=0.25)
    assert verdict(with_after(NEW, measure)).verdicts[0].why == (
        "right as asked; wrong in a conversation; right in 1 of 2 other wordings; "
        "target likelier (3.00 → 0.25 nats a token)"
    )


@pytest.mark.parametrize(
    ("kept", "scale", "fine"),
    [
        ({"q_proj": 1.0, "up_proj": 0.97}, 1.0, True),
        ({"q_proj": 0.03, "up_proj": 1.0}, 1.0, False),
        ({"q_proj": 1.0, "up_proj": 2.0}, 1.0, False),
        ({"q_proj": 0.5, "up_proj": 0.5}, 0.5, True),
        ({"q_proj": 1.0, "up_proj": 1.0}, 0.5, False),
    ],
    ids=["whole", "not in one kind of layers", "twice", "weaker", "stronger"],
)
def test_the_file_must_hold_what_was_trained(
    kept: dict[str, float], scale: float, fine: bool
) -> None:
    report = judge(replace(NEW, origin=Origin(kept)), CONFIG, "Q8_0", scale)
    assert failed(report) == ([] if fine else ["faithful"])
    assert report.kept == kept


def test_the_kind_of_layers_that_lacks_it_is_named() -> None:
    report = judge(replace(NEW, origin=Origin({"q_proj": 0.03, "up_proj": 0.97})), CONFIG, "Q8_0")
    assert report.checks[-1].detail == (
        "the file holds 50% of what was trained (q_proj 3%; of each at least 30% and at most 170%)"
    )


@pytest.mark.parametrize(
    ("given", "trained", "scale", "fine"),
    [
        (NEW, 0.02, 1.0, True),  # 0.1 nats are found
        (NEW, 0.0, 1.0, True),
        (with_after(NEW, *(measured(n, nll=0.2) for n in range(1, PORTS + 1))), 0.04, 1.0, False),
        (with_after(NEW, *(measured(n, nll=0.2) for n in range(1, PORTS + 1))), 0.06, 1.0, True),
        (with_after(NEW, *(measured(n, nll=0.2) for n in range(1, PORTS + 1))), 0.04, 0.5, True),
        (with_after(OLD, *(measured(n, nll=0.2) for n in range(2, 6))), 0.04, 1.0, True),
    ],
    ids=["as trained", "to the limit", "other", "hard to learn", "weaker", "not watched"],
)
def test_targets_must_be_as_likely_as_they_were_to_training(
    given: Evidence, trained: float, scale: float, fine: bool
) -> None:
    given = replace(given, origin=Origin(held_out_nll=trained))
    assert failed(judge(given, CONFIG, "Q8_0", scale)) == ([] if fine else ["faithful"])


def test_a_report_survives_json() -> None:
    report = conclude([verdict(replace(NEW, origin=Origin({"q_proj": 0.99})))])
    assert Report.from_dict(json.loads(json.dumps(report.as_dict()))) == report


def test_a_weaker_adapter_is_said() -> None:
    assert "0.75" in judge(NEW, CONFIG, "Q8_0", 0.75).warnings[0]


def test_a_job_is_reported_by_the_attempt_that_came_nearest() -> None:
    wrong = [measured(number, *ALL_WRONG) for number in range(1, PORTS + 1)]
    far = replace(with_after(NEW, *wrong), kl=[CONFIG.max_kl * 2] * GENERAL)
    near = with_after(NEW, *wrong)
    whole = conclude([judge(far, CONFIG, "Q6_K"), judge(near, CONFIG, "Q8_0")])
    assert whole.quantization == "Q8_0"
    assert [(a.quantization, a.failed) for a in whole.attempts] == [
        ("Q6_K", ["learned", "retained"]),
        ("Q8_0", ["learned"]),
    ]
