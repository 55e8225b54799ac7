"""What an example teaches, given what the user said: the one place of that rule.

A disliked answer is never a target. Knows no database and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

from shammah.errors import Conflict, UsageError
from shammah.records import Example, ExampleStatus, Level


@dataclass(frozen=True)
class Resolved:
    """What feedback makes of an example."""

    status: ExampleStatus
    target: str | None
    rejected: str | None


#: An example in which the user has said what the answer should have been.
_ACCEPTED = (ExampleStatus.READY, ExampleStatus.HELD)


def resolve(
    level: Level, answer: str, correction: str | None, former: Example | None = None
) -> Resolved:
    """Status, target and rejected answer that follow from one feedback.

    Args:
        answer: what the model had answered.
        correction: what it should have answered; None where the user did not say.
        former: the example that earlier feedback made of the same turn. Its accepted target
            outlives another dislike of the answer.

    Raises:
        UsageError: an empty correction, a correction equal to the disliked answer, or an empty
            answer marked good.
    """
    if level is Level.GOOD:
        return Resolved(ExampleStatus.READY, _good_target(answer, correction), None)
    rejected = answer.strip() or None
    if correction is not None:
        return Resolved(ExampleStatus.READY, accepted(correction, rejected), rejected)
    kept = former.target if former and former.status in _ACCEPTED else None
    if kept is None or kept == rejected:
        return Resolved(ExampleStatus.DRAFT, None, rejected)
    return Resolved(ExampleStatus.READY, kept, rejected)


def retarget(example: Example, correction: str) -> str:
    """The target that `/fix` gives to a draft or to a ready example.

    Raises:
        UsageError: the correction is empty or equal to the disliked answer.
        Conflict: the example was forgotten.
    """
    if example.status is ExampleStatus.FORGOTTEN:
        raise Conflict(
            f"example {example.id} was forgotten",
            hint="ask its question again, and correct the new answer",
        )
    return accepted(correction, example.rejected)


def accepted(correction: str, rejected: str | None) -> str:
    """The correction as a target, its ends trimmed. Inside it, white space counts.

    Raises:
        UsageError: it is empty or equal to the disliked answer.
    """
    target = correction.strip()
    if not target:
        raise UsageError(
            "the correction is empty", hint="write the answer that you wanted: /fix ANSWER"
        )
    if rejected is not None and target == rejected.strip():
        raise UsageError(
            "the correction is the same as the answer that you disliked",
            hint="write the answer that you wanted, or mark the answer /good",
        )
    return target


def _good_target(answer: str, correction: str | None) -> str:
    if correction is not None:
        return accepted(correction, rejected=None)
    if not answer.strip():
        raise UsageError(
            "an empty answer cannot be marked good",
            hint="say what the answer should have been: /fix ANSWER",
        )
    return answer.strip()
