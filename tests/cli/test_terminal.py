"""The chat in a real terminal, key by key."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from shammah.paths import Paths
from shammah.records import JobState
from tests.cli.fake.shammah_daemon.app import State
from tests.terminal import (
    CTRL_C,
    CTRL_R,
    ENTER,
    ESCAPE,
    PASTE_BEGIN,
    PASTE_END,
    SHOW_CURSOR,
    Terminal,
    leave,
)

if TYPE_CHECKING:
    from tests.cli.conftest import Shammah

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def start(paths: Paths) -> Iterator[Callable[[], Terminal]]:
    """Starts the chat in a terminal of 24 lines and 100 columns."""
    spawned: list[Terminal] = []

    def begin() -> Terminal:
        terminal = Terminal(
            sys.executable,
            ["-m", "shammah.cli"],
            dimensions=(24, 100),
            encoding="utf-8",
            timeout=15,
        )
        spawned.append(terminal)
        terminal.expect(r"version 0 · \d+ more until the next lesson")
        return terminal

    yield begin
    for terminal in spawned:
        terminal.close(force=True)


@pytest.fixture
def chat(stand_in: State, start: Callable[[], Terminal]) -> Terminal:
    return start()


def wait_for_end(shammah: Shammah) -> None:
    """Until job 1 has ended, watched by nobody."""
    deadline = time.monotonic() + 20
    while json.loads(shammah("jobs", "show", "1", "--json").stdout)["report"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_question_is_answered_and_ctrl_d_leaves(chat: Terminal) -> None:
    chat.send("why?" + ENTER)
    chat.expect("answer 0 to why")
    chat.expect("more until")
    assert leave(chat) == 0


def test_markdown_is_drawn(chat: Terminal) -> None:
    chat.send("markdown" + ENTER)
    chat.expect("•[^\n]*two")
    chat.expect("more until")
    assert "**bold**" not in chat.before


def test_what_a_model_says_cannot_steer_the_terminal(chat: Terminal) -> None:
    chat.send("control" + ENTER)
    chat.expect(r"before\[2Jafter")


def test_ctrl_c_at_the_prompt_clears_the_line(chat: Terminal) -> None:
    chat.send("wrong words")
    chat.expect("wrong words")
    chat.send(CTRL_C + "why?" + ENTER)
    chat.expect("answer 0 to why")


def test_an_accepted_draft_becomes_the_correction_and_the_answer(chat: Terminal) -> None:
    chat.send("why?" + ENTER)
    chat.expect("more until")
    chat.send("/critical too short" + ENTER)
    chat.expect("What should the answer have been")
    chat.expect("better answer 0 to why")
    chat.send(ENTER)
    chat.expect("9 missing")
    chat.expect("9 more until")
    chat.send("history" + ENTER)
    chat.expect(r'\["why\?", "better answer 0 to why\?"\]')


@pytest.mark.parametrize("key", [ESCAPE, CTRL_C])
def test_a_correction_is_skipped(chat: Terminal, key: str) -> None:
    chat.send("why?" + ENTER)
    chat.expect("more until")
    chat.send("/critical" + ENTER)
    chat.expect("better answer 0 to why")
    chat.send(key)
    chat.expect("kept as a draft")
    chat.expect("10 more until")


def test_a_pasted_text_of_several_lines_is_one_question(chat: Terminal) -> None:
    chat.send(PASTE_BEGIN + "first\rsecond" + PASTE_END)
    chat.expect("second")
    chat.send(ENTER)
    chat.expect("answer 0 to first")


def test_alt_enter_begins_a_new_line(chat: Terminal) -> None:
    chat.send("first" + ESCAPE + ENTER + "second" + ENTER)
    chat.expect("answer 0 to first\\s+second")


def test_commands_are_completed_with_their_descriptions(chat: Terminal) -> None:
    chat.send("/cri")
    chat.expect("the last answer is badly wrong")


@pytest.mark.usefixtures("stand_in")
def test_the_history_is_searched_and_private(start: Callable[[], Terminal], paths: Paths) -> None:
    first = start()
    first.send("a memorable question" + ENTER)
    first.expect("answer 0 to")
    first.expect("more until")
    leave(first)
    second = start()
    second.send(CTRL_R + "memora")
    second.expect("reverse-i-search.*memora.*ble question")
    second.send(ENTER + ENTER)
    second.expect("answer 0 to a memorable question")
    assert paths.history.stat().st_mode & 0o777 == 0o600


def test_the_end_of_a_job_is_told_without_disturbing_what_is_typed(
    chat: Terminal, shammah: Shammah
) -> None:
    chat.send("half a ques")
    chat.expect("half a ques")
    shammah("train", "--wait")
    chat.expect(r"job 1: learned 9 of 10; 1 still wrong\. Version 1 answers now\.")
    chat.expect("version 1 · 10 more")
    chat.send("tion" + ENTER)
    chat.expect("answer 1 to half a question")


def test_the_same_words_asked_of_the_next_version_are_asked_without_the_old_answer(
    chat: Terminal, shammah: Shammah
) -> None:
    before = r'\["why\?", "answer 0 to why\?"\]'
    chat.send("why?" + ENTER)
    chat.expect("answer 0 to why")
    chat.send("history" + ENTER)
    chat.expect(before)
    shammah("train", "--wait")
    chat.expect("The answers above are still in its context: /clear begins without them")
    chat.send("History?" + ENTER)
    chat.expect("answer 1 to History")
    chat.send("history" + ENTER)
    chat.expect(before[:-2] + r', "History\?", "answer 1 to History\?"\]')


def test_a_job_that_ended_meanwhile_is_told_at_the_next_start_and_not_again(
    stand_in: State, start: Callable[[], Terminal], shammah: Shammah
) -> None:
    stand_in.outcome = JobState.REJECTED
    for question in ("first?", "second?"):
        shammah("ask", question)
        shammah("feedback", "good")
    shammah("train")
    wait_for_end(shammah)
    first = start()
    leave(first)
    assert "job 1: The lesson was rejected" in first.shown
    assert "still wrong: second? (shammah jobs show 1 --html)" in first.shown
    second = start()
    leave(second)
    assert "job 1" not in second.shown


def test_what_was_waited_for_is_not_told_again(
    stand_in: State, start: Callable[[], Terminal], shammah: Shammah
) -> None:
    stand_in.outcome = JobState.REJECTED
    shammah("train", "--wait")
    chat = start()
    leave(chat)
    assert "job 1" not in chat.shown


def test_jobs_are_told_after_the_daemon_restarted(
    start: Callable[[], Terminal], process: Shammah
) -> None:
    chat = start()
    process("daemon", "stop")
    chat.expect("no daemon")
    process("daemon", "start")
    chat.expect("10.*more.*until")  # only the cells that change are drawn
    process("train", "--wait")
    chat.expect("job 1: learned 9 of 10")


def test_an_engine_crash_leaves_the_prompt(chat: Terminal) -> None:
    chat.send("crash" + ENTER)
    chat.expect("error: the engine ended while it answered")
    chat.expect("more until")
    chat.send("why?" + ENTER)
    chat.expect("answer 0 to why")


@pytest.mark.usefixtures("stand_in")
def test_no_color_is_respected(
    start: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    chat = start()
    chat.send("/nope" + ENTER)
    chat.expect("error: unknown command")
    assert "\x1b[31m" not in chat.before + chat.after


def test_review_goes_through_what_waits(chat: Terminal, shammah: Shammah) -> None:
    for question in ("one", "two", "three"):
        shammah("ask", question)
        shammah("feedback", "critical", "--note", "say it short")
    chat.send("/review" + ENTER)
    chat.expect("waiting: *3")
    chat.expect("proposal: *better answer 0 to one")
    chat.expect("accept the proposal")
    chat.send("x" + ENTER)
    chat.expect("type one of a, n, e, d, s, q")
    chat.send("n" + ENTER)
    chat.expect("recorded as critical")
    chat.expect("waiting: *2")
    chat.send("d" + ENTER)
    chat.expect("example 2 is discarded")
    chat.send("s" + ENTER)
    chat.expect("nothing else waits")
    chat.expect("more until")
    assert leave(chat) == 0
    listed = shammah("examples", "list").stdout
    assert "say it short" in listed
    assert " two" not in listed
    assert "draft" in listed


def test_review_asks_which_of_two_answers_holds(chat: Terminal, shammah: Shammah) -> None:
    for target in ("because", "why not"):
        shammah("ask", "why?")
        shammah("feedback", "critical", "--correction", target)
    chat.send("/review" + ENTER)
    chat.expect("kind: *contradiction")
    chat.expect("older target: *because")
    chat.send("n" + ENTER)
    chat.expect("example 2 holds; example 1 is kept as history only")
    chat.expect("nothing waits for you")


def test_review_is_left_at_once(chat: Terminal, shammah: Shammah) -> None:
    shammah("ask", "why?")
    shammah("feedback", "critical")
    chat.send("/review" + ENTER)
    chat.expect("leave")
    chat.expect_exact(SHOW_CURSOR)  # the prompt is drawn and reads keys
    chat.sendeof()
    chat.expect("more until")
    assert "draft" in shammah("examples", "list").stdout


def test_a_blind_comparison_hides_the_names_until_the_vote(
    chat: Terminal, shammah: Shammah
) -> None:
    chat.send(f"/compare --blind why?{ENTER}")
    chat.expect(r"Which is better\?")
    assert "version 0 of fake" not in chat.before
    assert "version 1 of fake" not in chat.before
    shown_first = 0 if chat.before.index("answer 0") < chat.before.index("answer 1") else 1
    chat.send(f"1{ENTER}")
    chat.expect(f"you preferred version {shown_first} of fake")
    shammah("train", "--wait")  # now there is a version 1
    votes = [json.loads(shammah("versions", "show", n, "--json").stdout)["votes"] for n in "01"]
    assert [vote["won"] for vote in votes] == ([1, 0] if shown_first == 0 else [0, 1])


def test_forget_asks_first_and_then_about_the_versions_that_know_it(
    chat: Terminal, shammah: Shammah
) -> None:
    shammah("ask", "why?")
    shammah("feedback", "good")
    shammah("train", "--wait")
    chat.send("/forget 1" + ENTER)
    chat.expect("forget it for ever")
    chat.send("n" + ENTER)
    chat.expect("nothing was forgotten")
    chat.expect("more until")
    chat.send("/forget 1 --now" + ENTER)
    chat.expect("forget it for ever")
    chat.send("y" + ENTER)
    chat.expect("example 1 is forgotten")
    chat.expect("Version 2 answers now")
    chat.expect("delete them")
    chat.send("y" + ENTER)
    chat.expect("deleted version 1")
    assert shammah("versions", "show", "1").returncode == 1


@pytest.mark.usefixtures("stand_in")
def test_what_there_is_to_remark_is_said_below_the_answer(tmp_path: Path) -> None:
    remarks = tmp_path / "stderr"
    ask = f"{sys.executable} -m shammah.cli ask"
    script = f"{ask} helped; {ask} long 2>{remarks}"
    asking = Terminal("/bin/sh", ["-c", script], encoding="utf-8", timeout=15)
    asking.expect(r"answer 0 to helped\s+your correction helped")
    asking.expect("answer 0 to long")
    asking.expect(pexpect.EOF)
    assert "left out" not in asking.shown
    assert "2 oldest messages left out" in remarks.read_text()
