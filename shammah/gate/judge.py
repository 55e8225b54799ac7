"""Decides from measurements whether a candidate may serve: learned, retained, scoped, sane.

Pure: knows no engine, no file and no clock. DESIGN §7 is the rule book.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import Any

from shammah.config import GateConfig
from shammah.gate.forgotten import Proof
from shammah.gate.measure import Answered, Case, CaseMeasure
from shammah.records import Level, Verdict

#: Below this many new examples a sign test cannot reach `SIGNIFICANCE`, so each must improve.
SIGN_TEST_FROM = 5
SIGNIFICANCE = 0.05

#: A rise of a mean NLL that is more than noise. The engine's own batching moves the mean NLL of a
#: row by up to 0.11 nats on the embedded base (int8 activations); see docs/benchmarks.md.
NLL_NOISE = 0.15

#: Share of the answers that may be empty, endless or repetitive.
MAX_INSANE_SHARE = 0.2

#: Share of the examples taught before, and holding before, that may be lost.
MAX_LOST_SHARE = 0.05


@dataclass(frozen=True)
class CaseVerdict:
    """What the gate found for one example, with the figures behind it."""

    example_id: int
    verdict: Verdict
    new: bool
    level: str
    holds: list[bool]  # the question as asked, then each held-out phrasing
    nll_before: float
    nll_after: float
    prefers_target: bool | None  # over the rejected answer; None where there is none


@dataclass(frozen=True)
class Check:
    """One of the gate's four questions."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """The gate's judgement of one candidate file."""

    passed: bool
    quantization: str
    checks: list[Check]
    warnings: list[str]
    verdicts: list[CaseVerdict]
    kl_mean: float
    kl_median: float
    summary: str
    forgotten: list[Proof] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """All that was measured. `before` is the active version's, `after` the candidate's."""

    cases: Sequence[Case]
    nll_before: Sequence[float]  # per case, mean over held-out phrasings
    held_before: Sequence[bool]  # per case: judged as learned by the newest gate
    after: Sequence[CaseMeasure]
    kl: Sequence[float]  # per general question
    general: Sequence[Answered]  # to general questions
    general_by_base: Sequence[str]  # the base's own answers to the same


def judge(evidence: Evidence, config: GateConfig, quantization: str) -> Report:
    """The verdict on a candidate."""
    verdicts = [
        case_verdict(case, before, measure)
        for case, before, measure in zip(
            evidence.cases, evidence.nll_before, evidence.after, strict=True
        )
    ]
    checks = [
        _learned([v for v in verdicts if v.new], config.min_learned),
        _retained(verdicts, evidence, config.max_kl),
        _scoped(evidence),
        _sane(evidence),
    ]
    kl_mean = fmean(evidence.kl) if evidence.kl else 0.0
    warnings = []
    if config.warn_kl < kl_mean <= config.max_kl:
        warnings.append(f"KL to the base is {kl_mean:.3f} nats, above {config.warn_kl}")
    return Report(
        passed=all(check.passed for check in checks),
        quantization=quantization,
        checks=checks,
        warnings=warnings,
        verdicts=verdicts,
        kl_mean=kl_mean,
        kl_median=median(evidence.kl) if evidence.kl else 0.0,
        summary=summary(verdicts),
    )


def case_verdict(case: Case, nll_before: float, measure: CaseMeasure) -> CaseVerdict:
    """Learned: the question as asked and at least half of the held-out phrasings hold.

    Got worse: it does not hold, and its target became less likely than it was.
    """
    holds = [a.ended and case.terms.held_by(a.text) for a in measure.answers]
    after = measure.mean_nll
    if holds[0] and sum(holds[1:]) * 2 >= len(holds) - 1:
        verdict = Verdict.LEARNED
    elif after > nll_before + NLL_NOISE:
        verdict = Verdict.GOT_WORSE
    else:
        verdict = Verdict.STILL_WRONG
    prefers = None if measure.rejected_nll is None else after < measure.rejected_nll
    return CaseVerdict(
        example_id=case.example_id,
        verdict=verdict,
        new=case.new,
        level=case.level,
        holds=holds,
        nll_before=nll_before,
        nll_after=after,
        prefers_target=prefers,
    )


def summary(verdicts: Sequence[CaseVerdict]) -> str:
    """As in "learned 9 of 10; 1 still wrong": the new examples, then the older ones."""
    new = [v for v in verdicts if v.new]
    old = [v for v in verdicts if not v.new]
    parts = []
    if new:
        parts.append(f"learned {_count(new, Verdict.LEARNED)} of {len(new)}")
        parts += _troubles(new)
    if old:
        parts.append(f"{_count(old, Verdict.LEARNED)} of {len(old)} earlier ones hold")
        parts += _troubles(old)
    return "; ".join(parts) or "nothing was taught"


def sign_test(improved: int, total: int) -> float:
    """One-sided exact p: chance of at least `improved` of `total` under a fair coin."""
    return sum(math.comb(total, k) for k in range(improved, total + 1)) / float(2**total)


def is_sane(answer: Answered) -> bool:
    """It says something, ends by itself and does not go round in circles."""
    return bool(answer.text.strip()) and answer.ended and not repeats(answer.text)


def repeats(text: str) -> bool:
    """Whether some run of three or more words stands four times in a row, or one word eight."""
    words = re.findall(r"\S+", text.casefold())
    for size in range(1, len(words) // 4 + 1):
        times = 8 if size < 3 else 4
        for start in range(len(words) - size * times + 1):
            run = words[start : start + size]
            if all(
                words[start + i * size : start + (i + 1) * size] == run for i in range(1, times)
            ):
                return True
    return False


def _learned(new: Sequence[CaseVerdict], min_learned: float) -> Check:
    if not new:
        return Check("learned", True, "no new examples")
    improved = sum(v.nll_after < v.nll_before for v in new)
    learned = _count(new, Verdict.LEARNED)
    worse = [v.example_id for v in new if v.verdict is Verdict.GOT_WORSE and _is_critical(v)]
    if len(new) >= SIGN_TEST_FROM:
        p = sign_test(improved, len(new))
        likelier, proof = p < SIGNIFICANCE, f"sign test p = {p:.3g}"
    else:
        likelier, proof = improved == len(new), "each must improve"
    # What is good already cannot get much better: an example that holds counts as improved.
    likelier = likelier or all(
        v.nll_after < v.nll_before or v.verdict is Verdict.LEARNED for v in new
    )
    enough = learned >= min_learned * len(new)
    detail = (
        f"{learned} of {len(new)} answers hold (at least {min_learned:.0%} must); "
        f"{improved} of {len(new)} targets became likelier ({proof})"
    )
    if worse:
        detail += f"; critical examples got worse: {_ids(worse)}"
    return Check("learned", likelier and enough and not worse, detail)


def _retained(verdicts: Sequence[CaseVerdict], evidence: Evidence, max_kl: float) -> Check:
    held = [
        verdict
        for verdict, before in zip(verdicts, evidence.held_before, strict=True)
        if before and not verdict.new
    ]
    lost = [v.example_id for v in held if v.verdict is not Verdict.LEARNED]
    critical = [v.example_id for v in held if v.example_id in lost and _is_critical(v)]
    kl_mean = fmean(evidence.kl) if evidence.kl else 0.0
    allowed = int(MAX_LOST_SHARE * len(held))
    passed = kl_mean <= max_kl and len(lost) <= allowed and not critical
    detail = f"KL to the base {kl_mean:.3f} nats on {len(evidence.kl)} general questions"
    if held:
        detail += f"; {len(held) - len(lost)} of {len(held)} earlier lessons hold"
    if lost:
        detail += f"; lost: {_ids(lost)}"
    return Check("retained", passed, detail)


def _scoped(evidence: Evidence) -> Check:
    general = evidence.general
    leaks = sorted(
        {
            case.example_id
            for case in evidence.cases
            if case.terms.hard  # soft words alone are in many a good answer
            for answer, base_answer in zip(general, evidence.general_by_base, strict=True)
            if case.terms.held_by(answer.text) and not case.terms.held_by(base_answer)
        }
    )
    detail = f"none of {len(general)} general answers holds taught text"
    if leaks:
        detail = f"taught text leaks into general answers, from {_ids(leaks)}"
    return Check("scoped", not leaks, detail)


def _sane(evidence: Evidence) -> Check:
    answers = [a for measure in evidence.after for a in measure.answers] + [*evidence.general]
    insane = sum(not is_sane(answer) for answer in answers)
    general = sum(not is_sane(answer) for answer in evidence.general)
    passed = (
        insane <= MAX_INSANE_SHARE * len(answers)
        and general <= MAX_INSANE_SHARE * len(evidence.general)
    )  # fmt: skip
    return Check(
        "sane", passed, f"{insane} of {len(answers)} answers are empty, endless or repetitive"
    )


def _troubles(verdicts: Sequence[CaseVerdict]) -> list[str]:
    wrong = _count(verdicts, Verdict.STILL_WRONG)
    worse = _count(verdicts, Verdict.GOT_WORSE)
    return [f"{wrong} still wrong"] * bool(wrong) + [f"{worse} got worse"] * bool(worse)


def _count(verdicts: Sequence[CaseVerdict], verdict: Verdict) -> int:
    return sum(v.verdict is verdict for v in verdicts)


def _is_critical(verdict: CaseVerdict) -> bool:
    return verdict.level == Level.CRITICAL


def _ids(example_ids: Sequence[int]) -> str:
    return ", ".join(f"example {number}" for number in example_ids)
