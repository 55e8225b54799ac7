"""The verdict on each example, with its reason and the count of all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shammah.gate.evidence import Before
from shammah.gate.measure import Case, CaseMeasure
from shammah.records import Level, Verdict

#: A rise of an NLL that is more than noise. The engine's own batching moves the mean NLL of a
#: row by up to 0.11 nats on the embedded base (int8 activations); see docs/benchmarks.md.
NLL_NOISE = 0.15


@dataclass(frozen=True)
class CaseVerdict:
    """What the gate found for one example, with the figures behind it. Holds no text of the user's:
    what is forgotten must not live on in reports."""

    example_id: int
    verdict: Verdict
    why: str
    new: bool
    level: str
    holds: list[bool]  # the answer to each of `Case.prompts`
    held_before: list[bool]  # the same of the newest gate before this one; empty if there is none
    nll_before: float
    nll_after: float
    prefers_target: bool | None  # over the rejected answer; None where it was not asked

    @property
    def learned(self) -> bool:
        return self.verdict is Verdict.LEARNED

    @property
    def improved(self) -> bool:
        return self.nll_after < self.nll_before

    @property
    def is_critical(self) -> bool:
        return self.level == Level.CRITICAL


def case_verdict(case: Case, before: Before, measure: CaseMeasure) -> CaseVerdict:
    """Learned: the question as asked holds, alone and in a conversation, and so do at least half of
    the held-out phrasings.

    Got worse: it does not hold, and its target became less likely than it was.
    """
    holds = [a.ended and case.terms.held_by(a.text) for a in measure.answers]
    after = measure.median_nll
    as_asked, others, together = _kinds(case, holds)
    if as_asked and all(together) and sum(others) * 2 >= len(others):
        verdict = Verdict.LEARNED
    elif after > before.nll + NLL_NOISE:
        verdict = Verdict.GOT_WORSE
    else:
        verdict = Verdict.STILL_WRONG
    prefers = None if measure.rejected_nll is None else measure.nll[0] < measure.rejected_nll
    return CaseVerdict(
        example_id=case.example_id,
        verdict=verdict,
        why=_why(case, holds, all(a.ended for a in measure.answers), before.nll, after, prefers),
        new=case.new,
        level=case.level,
        holds=holds,
        held_before=list(before.holds),
        nll_before=before.nll,
        nll_after=after,
        prefers_target=prefers,
    )


def summary(verdicts: Sequence[CaseVerdict]) -> str:
    """As in "learned 9 of 10; 1 still wrong": the new examples, then the older ones."""
    new = [v for v in verdicts if v.new]
    old = [v for v in verdicts if not v.new]
    parts = []
    if new:
        parts.append(f"learned {count(new, Verdict.LEARNED)} of {len(new)}")
        parts += _troubles(new)
    if old:
        parts.append(f"{count(old, Verdict.LEARNED)} of {len(old)} earlier ones hold")
        parts += _troubles(old)
    return "; ".join(parts) or "nothing was taught"


def count(verdicts: Sequence[CaseVerdict], verdict: Verdict) -> int:
    return sum(v.verdict is verdict for v in verdicts)


def _kinds(case: Case, holds: Sequence[bool]) -> tuple[bool, Sequence[bool], Sequence[bool]]:
    """As asked, in other wordings, in a conversation."""
    others = 1 + len(case.held_out)
    return holds[0], holds[1:others], holds[others:]


def _why(
    case: Case,
    holds: Sequence[bool],
    all_ended: bool,
    before: float,
    after: float,
    prefers: bool | None,
) -> str:
    """The findings in words: which wordings were answered right, and how likely the target is."""
    as_asked, others, together = _kinds(case, holds)
    parts = ["right as asked" if as_asked else "wrong as asked"]
    if not all(together):
        parts.append("wrong in a conversation")
    if others:
        parts.append(f"right in {sum(others)} of {len(others)} other wordings")
    if not all_ended:
        parts.append("an answer does not end")
    moved = "likelier" if after < before else "less likely"
    parts.append(f"target {moved} ({before:.2f} → {after:.2f} nats a token)")
    if prefers is False:
        parts.append("the rejected answer is still likelier")
    return "; ".join(parts)


def _troubles(verdicts: Sequence[CaseVerdict]) -> list[str]:
    wrong = count(verdicts, Verdict.STILL_WRONG)
    worse = count(verdicts, Verdict.GOT_WORSE)
    return [f"{wrong} still wrong"] * bool(wrong) + [f"{worse} got worse"] * bool(worse)
