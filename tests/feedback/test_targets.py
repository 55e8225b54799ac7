"""What is taught after which feedback; a disliked answer never is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.errors import Conflict, UsageError
from shammah.feedback.targets import Resolved, resolve, retarget
from shammah.records import Example, ExampleStatus, Level, Message

DISLIKED = [Level.CRITICAL, Level.MEDIUM]

READY = Example(
    id=4,
    turn_id="turn-1",
    feedback_id=1,
    status=ExampleStatus.READY,
    level=Level.CRITICAL,
    weight=10,
    messages=[Message(role="user", content="Which port?")],
    target="Port 7443.",
    rejected="Port 80.",
    note=None,
    created_at="2026-03-01T12:00:00.000+00:00",
    updated_at="2026-03-01T12:00:00.000+00:00",
)
DRAFT = replace(READY, status=ExampleStatus.DRAFT, target=None)
FORGOTTEN = replace(READY, status=ExampleStatus.FORGOTTEN)


def ready(target: str, rejected: str | None) -> Resolved:
    return Resolved(ExampleStatus.READY, target, rejected)


def test_a_good_answer_is_its_own_target() -> None:
    assert resolve(Level.GOOD, "Port 80.\n", None) == ready("Port 80.", None)


def test_a_good_answer_with_a_correction_teaches_the_correction() -> None:
    assert resolve(Level.GOOD, "Port 80.", "Port 80, TLS.") == ready("Port 80, TLS.", None)


@pytest.mark.parametrize("level", DISLIKED)
def test_a_disliked_answer_with_a_correction_is_ready(level: Level) -> None:
    assert resolve(level, "Port 80.", " Port 7443. ") == ready("Port 7443.", "Port 80.")


@pytest.mark.parametrize("level", DISLIKED)
def test_a_disliked_answer_without_a_correction_is_a_draft(level: Level) -> None:
    assert resolve(level, "Port 80.", None) == Resolved(ExampleStatus.DRAFT, None, "Port 80.")


def test_an_accepted_target_outlives_another_dislike() -> None:
    assert resolve(Level.MEDIUM, "Port 80.", None, READY) == ready("Port 7443.", "Port 80.")


@pytest.mark.parametrize("former", [DRAFT, FORGOTTEN, replace(READY, target="Port 80.")])
def test_a_former_example_without_a_usable_target_leaves_a_draft(former: Example) -> None:
    assert resolve(Level.MEDIUM, "Port 80.", None, former).status is ExampleStatus.DRAFT


def test_an_empty_disliked_answer_rejects_nothing() -> None:
    assert resolve(Level.CRITICAL, " ", "Port 7443.") == ready("Port 7443.", None)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("correction", ["", " \n\t"])
def test_an_empty_correction_is_refused(level: Level, correction: str) -> None:
    with pytest.raises(UsageError, match="correction is empty"):
        resolve(level, "Port 80.", correction)


@pytest.mark.parametrize("level", DISLIKED)
def test_the_disliked_answer_is_refused_as_correction(level: Level) -> None:
    with pytest.raises(UsageError, match="same as the answer"):
        resolve(level, "Port 80.", "\nPort 80. ")


def test_white_space_inside_a_correction_counts() -> None:
    assert resolve(Level.MEDIUM, "if x:\n  y", "if x:\n\ty").target == "if x:\n\ty"


def test_an_empty_answer_is_not_good() -> None:
    with pytest.raises(UsageError, match="empty answer"):
        resolve(Level.GOOD, " ", None)


@given(st.sampled_from(Level), st.text(), st.none() | st.text())
def test_no_feedback_makes_a_disliked_answer_a_target(
    level: Level, answer: str, correction: str | None
) -> None:
    try:
        resolved = resolve(level, answer, correction)
    except UsageError:
        return
    assert (resolved.target is not None) == (resolved.status is ExampleStatus.READY)
    assert resolved.target != ""
    if level is not Level.GOOD:
        assert resolved.target != answer.strip()


@pytest.mark.parametrize("example", [DRAFT, READY])
def test_a_fix_gives_drafts_and_ready_examples_a_target(example: Example) -> None:
    assert retarget(example, " Port 7444.\n") == "Port 7444."


@pytest.mark.parametrize("correction", ["", "Port 80."])
def test_a_fix_follows_the_same_rules(correction: str) -> None:
    with pytest.raises(UsageError):
        retarget(DRAFT, correction)


def test_a_forgotten_example_is_not_fixed() -> None:
    with pytest.raises(Conflict, match="example 4"):
        retarget(FORGOTTEN, "Port 7444.")


def test_a_held_target_outlives_another_dislike() -> None:
    """The user has said it; that it waits for another word takes nothing away."""
    held = replace(READY, status=ExampleStatus.HELD)
    assert resolve(Level.CRITICAL, "Port 80.", None, held).target == held.target
