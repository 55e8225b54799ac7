"""The gate's five questions: learned, retained, scoped, sane, faithful. Pure functions of what was
found."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from shammah.config import GateConfig
from shammah.gate.evidence import Evidence, General
from shammah.gate.measure import Answered, Case
from shammah.gate.paired import LEAST_PAIRS, mcnemar, sign_test
from shammah.gate.verdicts import NLL_NOISE, CaseVerdict, count
from shammah.records import Verdict

#: Share of the answers that may be empty, endless or repetitive, and of the general questions those
#: that may be answered so.
MAX_INSANE_SHARE, MAX_INSANE_GENERAL = 0.2, 0.05

#: Of a kind of layers that holds as much more or less than all, the share is named.
NAMED_SHARE = 0.1

#: By how much a target may be less likely than when it was trained, beyond twice: the good files of
#: docs/learning.md differ by 0.003, those that were taught in another chat format by 0.14.
DISAGREEMENT_NATS = 0.1

#: From so many general questions on, the one with the largest KL may be left out of the mean.
OUTLIER_FROM = 20

#: Ordinary words alone tell a leak only where the target adds so many of them.
TELLING_SOFT_TERMS = 4


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Leak:
    """A general question whose answer holds taught text, and the examples that it is from."""

    question: str
    example_ids: list[int]


def learned(new: Sequence[CaseVerdict], config: GateConfig) -> Check:
    """New targets became likelier than they were and than the rejected answers, and answers hold
    them; no critical example got worse."""
    if not new:
        return Check("learned", True, "no new examples")
    holding = count(new, Verdict.LEARNED)
    improved = sum(v.improved for v in new)
    likelier, proof = _most(improved, len(new), config.significance)
    # What is good already cannot get much better: an example that holds counts as improved.
    likelier = likelier or all(v.improved or v.learned for v in new)
    needed = max(1, math.floor(config.min_learned * len(new)))
    detail = (
        f"{holding} of {len(new)} answers hold (at least {needed} must); "
        f"{improved} of {len(new)} targets became likelier ({proof})"
    )
    contested = [v for v in new if v.prefers_target is not None]
    preferred = sum(bool(v.prefers_target) for v in contested)
    prefers, proof = _most(preferred, len(contested), config.significance)
    if contested:
        detail += (
            f"; {preferred} of {len(contested)} rejected answers are less likely than their "
            f"targets ({proof})"
        )
    worse = [v.example_id for v in new if v.is_critical and v.verdict is Verdict.GOT_WORSE]
    if worse:
        detail += f"; critical examples got worse: {_ids(worse)}"
    passed = holding >= needed and likelier and prefers and not worse
    return Check("learned", passed, detail)


def retained(verdicts: Sequence[CaseVerdict], evidence: Evidence, config: GateConfig) -> Check:
    """Examples that held before still hold, and the model is elsewhere as its base is."""
    near, detail, warnings = _near_base(evidence, config)
    earlier = [
        (verdict, before)
        for verdict, before in zip(verdicts, evidence.before, strict=True)
        if not verdict.new
    ]
    held = [verdict for verdict, before in earlier if before.learned]
    lost = [v for v in held if not v.learned]
    allowed = math.ceil(config.max_lost * len(held)) if len(held) >= LEAST_PAIRS else 0
    worse = [v.example_id for v in lost if v.is_critical and v.verdict is Verdict.GOT_WORSE]
    if held:
        detail += f"; {len(held) - len(lost)} of {len(held)} earlier lessons hold"
    if lost:
        detail += f"; lost: {_ids([v.example_id for v in lost])} (at most {allowed})"
    if worse:
        detail += f"; critical examples got worse: {_ids(worse)}"
    steady, said = _answers_hold([verdict for verdict, _before in earlier], config)
    fading = [v.example_id for v in held if v.learned and v.nll_after > v.nll_before + NLL_NOISE]
    if fading:
        warnings.append(f"still right, but less sure than before: {_ids(fading)}")
    passed = near and steady and len(lost) <= allowed and not worse
    return Check("retained", passed, detail + said, warnings)


def leaks(evidence: Evidence) -> list[Leak]:
    """Taught text in answers to general questions."""
    return [
        Leak(item.probe.question, ids)
        for item in evidence.general
        if (ids := [case.example_id for case in evidence.cases if _leaks(case, item)])
    ]


def scoped(found: Sequence[Leak], evidence: Evidence, config: GateConfig) -> Check:
    """Taught text does not come up in answers to general questions.

    Answered are those on which the candidate moved furthest from the base: an answer that begins
    with taught text is one of them. So the rest counts as clean.
    """
    allowed = int(config.max_leaks * len(evidence.probes))
    said = [f"“{leak.question}” ({_ids(leak.example_ids)})" for leak in found]
    if not found:
        return Check(
            "scoped", True, f"none of {len(evidence.general)} general answers holds taught text"
        )
    detail = (
        f"taught text leaks into {len(found)} of {len(evidence.probes)} general answers "
        f"(at most {allowed} may)"
    )
    if len(found) > allowed:
        return Check("scoped", False, f"{detail}: {', '.join(said)}")
    return Check("scoped", True, detail, [f"taught text leaks into {', '.join(said)}"])


def sane(evidence: Evidence) -> Check:
    """Answers say something, end, and do not go round in circles.

    General questions that were not answered count as sane: the candidate moved less on them.
    """
    lessons = [is_sane(a) for measure in evidence.after for a in measure.answers]
    wrong = [item for item in evidence.general if not is_sane(item.answer, must_end=item.must_end)]
    bad, total = lessons.count(False) + len(wrong), len(lessons) + len(evidence.general)
    passed = (
        bad <= MAX_INSANE_SHARE * total
        and len(wrong) <= MAX_INSANE_GENERAL * len(evidence.probes)
    )  # fmt: skip
    detail = f"{bad} of {total} answers are empty, endless or repetitive"
    if not wrong:
        return Check("sane", passed, detail)
    named = ", ".join(f"“{item.probe.question}”" for item in wrong)
    detail += f", {len(wrong)} of them to general questions: {named}"
    said = [f"the answer goes on or in circles: {named}"] if passed else []
    return Check("sane", passed, detail, said)


def faithful(evidence: Evidence, scale: float, config: GateConfig) -> Check:
    """The file is what training made, and is asked as training asked.

    Args:
        scale: of the adapter's effect, as it was wanted.
    """
    holds, held = _holds_what_was_trained(evidence.origin.kept, scale, config.min_kept)
    agrees, found = _agrees_with_training(evidence, scale)
    return Check("faithful", holds and agrees, held + found)


def is_sane(answer: Answered, *, must_end: bool = True) -> bool:
    """It says something, ends by itself and does not go round in circles."""
    return bool(answer.text.strip()) and (answer.ended or not must_end) and not repeats(answer.text)


def repeats(text: str) -> bool:
    """Whether some run of three or more words stands four times in a row, or a shorter one eight.

    Runs that only count on ("Viola 1. Viola 2. ...") are repeated too; bare counting is not, nor is
    a line of dashes.
    """
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    counting = [re.sub(r"\d+", "0", word) for word in words]
    return _has_run(words, str.isalnum) or _has_run(counting, str.isalpha)


def _has_run(words: Sequence[str], is_word: Callable[[str], bool]) -> bool:
    said = [is_word(word) for word in words]
    for size in range(1, len(words) // 4 + 1):
        for start in range(len(words) - 4 * size + 1):
            run = words[start : start + size]
            own = sum(said[start : start + size])
            times = 4 if own > 2 else 8
            if own and all(
                words[start + i * size : start + (i + 1) * size] == run for i in range(1, times)
            ):
                return True
    return False


def _most(hits: int, total: int, significance: float) -> tuple[bool, str]:
    """Whether `hits` of `total` is more than chance, and the proof; of a few, each must."""
    if total < LEAST_PAIRS:
        return hits == total, "each must"
    p = sign_test(hits, total)
    return p < significance, f"sign test p = {p:.2g}"


def _near_base(evidence: Evidence, config: GateConfig) -> tuple[bool, str, list[str]]:
    """Whether KL is low enough, what it is, and what to warn of.

    The mean decides: a few questions that went quite wrong are what forgetting looks like, and a
    median does not see them. One question alone must not decide, so the largest is left out where
    the mean without it is within the limit; it is named, and its answer is among those that are
    searched for leaks.
    """
    if not evidence.kl:
        return True, "KL to the base was not measured", []
    mean, middle = fmean(evidence.kl), median(evidence.kl)
    detail = f"KL to the base {mean:.3f} nats on {len(evidence.kl)} general questions"
    detail += f" (median {middle:.3f}, at most {config.max_kl:g})"
    largest = max(range(len(evidence.kl)), key=evidence.kl.__getitem__)
    without = (sum(evidence.kl) - evidence.kl[largest]) / max(len(evidence.kl) - 1, 1)
    outlier = len(evidence.kl) >= OUTLIER_FROM and without <= config.max_kl < mean
    warnings = []
    if outlier:
        warnings.append(
            f"KL is above {config.max_kl:g} nats ({mean:.3f}) because of one question alone: "
            f"“{evidence.probes[largest].question}” ({evidence.kl[largest]:.2f})"
        )
    elif config.warn_kl < mean <= config.max_kl:
        warnings.append(f"KL to the base is {mean:.3f} nats, above {config.warn_kl:g}")
    return mean <= config.max_kl or outlier, detail, warnings


def _holds_what_was_trained(
    kept: Mapping[str, float], scale: float, least: float
) -> tuple[bool, str]:
    """Whether of each kind of layer enough is there, and not too much: rounding has not taken it
    away, and nothing was left out, added twice or put into other rows on the way."""
    if not kept:
        return True, "what the file holds of what was trained was not measured"
    shares = {kind: share / scale for kind, share in kept.items()}
    detail = f"the file holds {fmean(shares.values()):.0%} of what was trained"
    if off := {kind: share for kind, share in shares.items() if not abs(share - 1) <= NAMED_SHARE}:
        named = ", ".join(f"{kind} {share:.0%}" for kind, share in off.items())
        detail += f" ({named}; of each at least {least:.0%} and at most {2 - least:.0%})"
    wrong = [kind for kind, share in shares.items() if not least <= share <= 2 - least]
    return not wrong, detail


def _agrees_with_training(evidence: Evidence, scale: float) -> tuple[bool, str]:
    """Whether targets are as likely here as to the model that was trained. A file that is asked in
    another chat format than it was taught in answers, but knows less. A weaker adapter is meant to
    know less."""
    before = evidence.origin.held_out_nll
    pairs = zip(evidence.cases, evidence.after, strict=True)
    watched = [measure.nll[0] for case, measure in pairs if case.watched]
    if before is None or not watched or scale != 1:
        return True, ""
    nll, most = fmean(watched), 2 * before + DISAGREEMENT_NATS
    detail = f"; held-out wordings: {nll:.3f} nats a token, {before:.3f} when it was trained"
    return nll <= most, f"{detail} (at most {most:.3f})"


def _answers_hold(earlier: Sequence[CaseVerdict], config: GateConfig) -> tuple[bool, str]:
    """Whether single answers were not lost more often than gained: a decline that is spread over
    many examples shows here before any of them is lost. An earlier gate may have asked less."""
    pairs = [pair for v in earlier for pair in zip(v.held_before, v.holds, strict=False)]
    gone = sum(before and not after for before, after in pairs)
    gained = sum(after and not before for before, after in pairs)
    p = mcnemar(gone, gained)
    if p >= config.significance:
        return True, ""
    return False, f"; {gone} single answers were lost and {gained} gained (McNemar p = {p:.2g})"


def _leaks(case: Case, item: General) -> bool:
    terms = case.terms
    telling = terms.hard or len(terms.soft) >= TELLING_SOFT_TERMS
    return (
        bool(telling)
        and terms.held_by(item.answer.text)
        and not terms.held_by(item.probe.answer_text)
    )


def _ids(example_ids: Sequence[int]) -> str:
    return ", ".join(f"example {number}" for number in example_ids)
