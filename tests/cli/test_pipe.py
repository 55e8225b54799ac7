"""The chat with its standard input not a terminal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from shammah.records import JobState
from tests.cli.fake.shammah_daemon.app import State

if TYPE_CHECKING:
    from tests.cli.conftest import Shammah

pytestmark = pytest.mark.timeout(60)

Pipe = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def pipe(stand_in: State, process: Shammah) -> Pipe:
    """Chats with the stand-in: a turn a line."""
    return lambda lines: process(stdin=lines)


def test_answers_go_to_stdout_and_receipts_to_stderr(pipe: Pipe) -> None:
    done = pipe("why?\n/critical\n/fix because\n")
    assert done.stdout == "answer 0 to why?\n"
    assert done.stderr.splitlines() == [
        "recorded as critical, weight 10; 10 missing",
        "recorded as critical, weight 10; 9 missing",
    ]
    assert done.returncode == 0


def test_the_conversation_goes_on_from_the_correction(pipe: Pipe) -> None:
    done = pipe("why?\n/critical\n/fix because\nhistory\n")
    assert json.loads(done.stdout.splitlines()[-1]) == ["why?", "because"]


def test_train_wait_waits_and_says_the_summary_once(pipe: Pipe) -> None:
    done = pipe("/train --wait\nwhy?\n")
    assert done.stdout == "answer 1 to why?\n"
    assert done.stderr.count("job 1: learned 9 of 10; 1 still wrong. Version 1 answers now.") == 1


def test_train_quick_asks_for_a_quick_job(pipe: Pipe, shammah: Shammah) -> None:
    done = pipe("/train quick --wait\n/train slow\n")
    assert "hint: say /train [quick] [--deep] [--wait] [SETTING=VALUE]" in done.stderr
    assert json.loads(shammah("jobs", "show", "1", "--json").stdout)["mode"] == "quick"


def test_a_comparison_is_shown_and_a_blind_one_refused(pipe: Pipe) -> None:
    done = pipe("/compare why?\n/compare --blind why?\n")
    assert "answer 0 to why?" in done.stdout
    assert "answer 1 to why?" in done.stdout
    assert "a blind comparison needs a terminal" in done.stderr


def test_a_rejected_job_that_was_waited_for_is_a_failed_turn(pipe: Pipe, stand_in: State) -> None:
    stand_in.outcome = JobState.REJECTED
    done = pipe("/train --wait\nwhy?\n")
    rejected = "job 1: The lesson was rejected, the active version stays: 9 of 10 answers hold."
    assert f"error: {rejected}" in done.stderr
    assert done.stdout == "answer 0 to why?\n"
    assert done.returncode == 1


def test_lines_after_a_failed_turn_still_run_and_the_exit_code_is_1(pipe: Pipe) -> None:
    done = pipe("crash\n/critcal\nwhy?\n")
    assert done.stdout == "answer 0\nanswer 0 to why?\n"
    assert done.stderr == (
        "error: the engine ended while it answered\nhint: again\n"
        "error: unknown command '/critcal'\n"
        "hint: did you mean /critical? /help shows all commands\n"
    )
    assert done.returncode == 1


def test_a_daemon_that_is_lost_is_started_again_for_the_next_line(process: Shammah) -> None:
    done = process(stdin="die\nwhy?\n")
    assert "error: no daemon answers on" in done.stderr
    assert done.stdout == "answer 0\nanswer 0 to why?\n"
    assert done.returncode == 1


def test_feedback_before_any_answer_is_refused(pipe: Pipe) -> None:
    done = pipe("/critical\n")
    assert done.stderr == "error: there is no answer to judge yet\nhint: ask something first\n"


def test_a_part_of_an_answer_is_not_taken_as_good(pipe: Pipe, shammah: Shammah) -> None:
    done = pipe("crash\n/good\n")
    assert "error: the last answer is only a part\nhint: /retry gives a whole one" in done.stderr
    assert shammah("examples", "list").stdout == ""


def test_a_correction_is_the_last_answer_s_whether_it_was_marked_or_not(
    pipe: Pipe, shammah: Shammah
) -> None:
    done = pipe("one\n/critical\ntwo\n/fix right for two\n")
    assert done.returncode == 0
    found = {e["question"]: e for e in json.loads(shammah("examples", "list", "--json").stdout)}
    assert (found["one"]["target"], found["one"]["level"]) == (None, "critical")
    assert (found["two"]["target"], found["two"]["level"]) == ("right for two", "medium")


def test_a_correction_of_an_answer_that_broke_off_at_once_is_not_an_older_one_s(
    pipe: Pipe, shammah: Shammah
) -> None:
    done = pipe("one\n/critical\ncrash at once\n/fix right for this\n")
    said = "error: the last answer broke off at once\nhint: /retry asks again\n"
    assert said in done.stderr
    assert "right for this" not in shammah("examples", "list").stdout


def test_what_this_chat_has_marked_is_corrected_after_it_is_cleared(
    pipe: Pipe, shammah: Shammah
) -> None:
    assert pipe("one\n/critical\n/clear\n/fix right for one\n").returncode == 0
    [example] = json.loads(shammah("examples", "list", "--json").stdout)
    assert (example["question"], example["target"]) == ("one", "right for one")


def test_an_empty_correction_is_refused(pipe: Pipe) -> None:
    assert "error: the correction is empty" in pipe("why?\n/critical\n/fix \n").stderr


def test_retry_takes_the_place_of_the_last_answer(pipe: Pipe) -> None:
    done = pipe("why?\n/retry\nhistory\n")
    retried = "answer 0 to why? (temperature 0.7)"
    assert done.stdout.splitlines()[1] == retried
    assert json.loads(done.stdout.splitlines()[2]) == ["why?", retried]


def test_the_system_prompt_is_sent_and_removed(pipe: Pipe) -> None:
    done = pipe("/system be brief\nhistory\n/clear\n/system -\nhistory\n")
    assert done.stdout == '["be brief"]\n[]\n'


def test_a_correction_that_helped_is_said_and_why_shows_it(pipe: Pipe) -> None:
    done = pipe("why?\n/critical\n/fix because\nhelped\n/why\n")
    assert "your correction helped: example 1, not learned yet (/why)" in done.stderr
    assert "because" in done.stdout


def test_why_before_any_answer_is_refused(pipe: Pipe) -> None:
    assert pipe("/why\n").stderr == "error: there is no answer yet\nhint: ask something first\n"


def test_quit_ends_before_the_rest(pipe: Pipe) -> None:
    assert pipe("one\n/quit\ntwo\n").stdout == "answer 0 to one\n"


def test_a_full_context_is_said(pipe: Pipe) -> None:
    assert "2 oldest messages left out" in pipe("long\n").stderr


def test_what_is_forgotten_is_not_asked_with_again(pipe: Pipe) -> None:
    done = pipe("one\ntwo\n/good\n/forget 1\nhistory\n")
    assert json.loads(done.stdout.splitlines()[-1]) == ["one", "answer 0 to one"]
    assert "example 1 is forgotten" in done.stderr


@pytest.mark.parametrize("arguments", ["", "one", "1 --later"])
def test_forget_takes_a_number(pipe: Pipe, arguments: str) -> None:
    done = pipe(f"/forget {arguments}\n")
    assert done.returncode == 1
    assert "error: /forget does not take" in done.stderr


def test_answers_are_plain_text(pipe: Pipe) -> None:
    assert pipe("markdown\n").stdout == "# Title\n\nsome **bold** text\n\n- one\n- two\n"


@pytest.mark.parametrize("command", ["/help", "/status", "/versions"])
def test_what_is_asked_to_be_seen_goes_to_stdout(pipe: Pipe, command: str) -> None:
    done = pipe(f"{command}\n")
    assert done.stdout
    assert (done.stderr, done.returncode) == ("", 0)
