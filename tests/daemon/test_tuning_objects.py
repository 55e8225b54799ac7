"""What OpenAI's fields mean here, and which options are refused; no daemon."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shammah.errors import NotFound, UsageError
from shammah.options import Manner
from shammah.records import Job, JobEvent, JobState, Mode
from shammah_daemon.tuning_objects import (
    STATUSES,
    TuningRequest,
    event_object,
    job_object,
    number_in,
)

AT = "2026-03-01T12:00:00.000+00:00"


def job(state: JobState, **fields: Any) -> Job:
    given = {"version": None, "error": None, "hint": None, "report": None} | fields
    return Job(
        id=7, base="tiny", mode=Mode.QUICK, state=state, attempt=1, created_at=AT, started_at=AT,
        finished_at=AT if state.is_final else None, **given,
    )  # fmt: skip


def asked(**options: Any) -> TuningRequest:
    return TuningRequest.model_validate({"model": "base", "training_file": "file-1"} | options)


def test_every_state_has_a_status() -> None:
    assert STATUSES.keys() == set(JobState)


@pytest.mark.parametrize(("model", "mode"), [("base", "consolidate"), ("shammah", "quick")])
def test_the_model_says_where_the_lesson_begins(model: str, mode: str) -> None:
    assert asked(model=model, seed=0).check() == mode


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"method": {"type": "dpo"}}, "'dpo' is not offered"),
        ({"model": "gpt-4o-mini"}, "'gpt-4o-mini' cannot be taught"),
        ({"validation_file": "file-1"}, "validation file is not used"),
        ({"integrations": [{"type": "wandb"}]}, "leave integrations out"),
    ],
)
def test_what_no_lesson_takes_is_refused_with_the_way_out(
    option: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        asked(**option).check()


@pytest.mark.parametrize(
    ("asked_for", "options"),
    [
        ({"hyperparameters": {"n_epochs": 3}}, {"epochs": 3}),
        (
            {
                "method": {
                    "type": "supervised",
                    "supervised": {"hyperparameters": {"batch_size": 8, "n_epochs": "auto"}},
                }
            },
            {"batch_rows": 8},
        ),
        ({"seed": 7}, {"seed": 7}),
        ({}, {}),
    ],
)
def test_hyperparameters_are_options_of_that_lesson(
    asked_for: dict[str, Any], options: dict[str, Any]
) -> None:
    assert asked(**asked_for).manner == Manner("standard", options)


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        ({"beta": "auto"}, "unknown hyperparameter 'beta'"),
        ({"learning_rate_multiplier": 2}, "training.learning_rate"),
    ],
)
def test_a_hyperparameter_that_no_lesson_takes_is_refused(
    hyperparameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        _ = asked(hyperparameters=hyperparameters).manner


@pytest.mark.parametrize(
    "option", [{"unheard_of": 1}, {"metadata": {"k": "v" * 513}}, {"suffix": "s" * 65}]
)
def test_a_field_that_is_not_openais_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(**option)


def test_a_rejected_lesson_has_failed_at_the_gate() -> None:
    report = {"checks": [{"passed": False, "detail": "1 of 3 learned"}]}
    shown = job_object(job(JobState.REJECTED, report=report), None, 12, seed=0)
    assert shown.status == "failed"
    assert shown.error is not None
    assert shown.error.code == "rejected_by_gate"
    assert "1 of 3 learned" in shown.error.message
    assert shown.fine_tuned_model is None


def test_a_failed_lesson_says_what_helps() -> None:
    failed = job(JobState.FAILED, error="the disk is full", hint="free some space")
    shown = job_object(failed, None, None, seed=0)
    assert shown.error is not None
    assert (shown.error.code, shown.error.message) == (
        "job_failed", "the disk is full; free some space",
    )  # fmt: skip


def test_a_lesson_that_no_file_began_has_none() -> None:
    shown = job_object(job(JobState.TRAINING), None, 12, seed=5)
    assert (shown.training_file, shown.model, shown.seed) == ("", "shammah", 5)
    assert (shown.status, shown.trained_tokens, shown.finished_at) == ("running", None, None)


def test_only_the_end_of_a_failure_is_an_error_event() -> None:
    for state in JobState:
        event = JobEvent(id=3, job_id=7, at=AT, kind="state", data={"state": state})
        shown = event_object(event)
        assert (shown.level == "error") == (state in (JobState.FAILED, JobState.REJECTED))
        assert state in shown.message


@pytest.mark.parametrize("name", ["", "ftjob-", "ftjob-0", "ftjob-1 ", "7", "ftjob-" + "9" * 16])
def test_what_is_no_name_of_a_job_is_not_found(name: str) -> None:
    assert number_in("ftjob-7", "ftjob") == 7
    with pytest.raises(NotFound):
        number_in(name, "ftjob")
