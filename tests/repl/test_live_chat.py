"""The chat in a terminal of 80 by 24, key by key, with a real daemon that serves the tiny base."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.records import JobState, Level
from tests.running import TINY, TINY_LESSON, Daemon, furnish, home_in
from tests.terminal import CTRL_C, CTRL_G, ENTER, ESCAPE, TAB, Terminal, leave

#: What an editor does with the file that it is given.
EDITOR = 'sh -c \'printf "%s" "in the zanzimbar loft above us" > "$1"\' editor'

#: Bracketed paste is turned on, by every prompt and after every editor.
PROMPT_OPENS = "\x1b[?2004h"

Start = Callable[..., Terminal]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    paths = home_in(tmp_path_factory.mktemp("home"))
    furnish(paths, tiny_ground, TINY)
    daemon = Daemon(paths, TINY_LESSON | {"SHAMMAH_CHAT__MAX_TOKENS": "8"})
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client as client:
        yield client


@pytest.fixture
def start(daemon: Daemon, tmp_path: Path) -> Iterator[Start]:
    """Starts the chat, in a folder of its own, with arguments and changes of the environment."""
    spawned: list[Terminal] = []
    scrubbed = ("DISPLAY", "WAYLAND_DISPLAY", "TMUX", "SSH_CONNECTION", "COLORFGBG", "NO_COLOR")

    def begin(*arguments: str, **environment: str) -> Terminal:
        kept = {k: v for k, v in daemon.environment.items() if k not in scrubbed}
        terminal = Terminal(
            sys.executable,
            ["-m", "shammah.cli", *arguments],
            cwd=str(tmp_path),
            env=kept
            | {"TERM": "xterm-256color", "EDITOR": EDITOR, "LC_ALL": "C.UTF-8"}
            | {"PYTHONPATH": os.pathsep.join(sys.path)}
            | environment,
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=60,
        )
        spawned.append(terminal)
        wait(terminal)
        return terminal

    yield begin
    for terminal in spawned:
        terminal.close(force=True)


@pytest.fixture
def chat(start: Start) -> Terminal:
    return start()


def wait(chat: Terminal) -> None:
    """Until the next prompt reads keys and the bar under it is drawn."""
    chat.expect_exact(PROMPT_OPENS)
    chat.expect("lesson|job|training|preparing")


def say(chat: Terminal, *lines: str) -> None:
    for line in lines:
        chat.send(line + ENTER)
        wait(chat)


def bar(chat: Terminal) -> str:
    """What stands under a new prompt; a change of an old one is drawn cell by cell."""
    chat.send(ENTER)
    chat.expect_exact(PROMPT_OPENS)
    chat.expect("tiny · [^\r]*")
    drawn: str = chat.after
    return drawn


def newest(client: Client) -> tuple[int, list[str]]:
    """The newest session, and what was asked in it."""
    session = client.session(client.sessions(limit=1)[0].id)
    return session.id, [one.question for one in session.said]


def test_an_answer_streams_and_ctrl_c_stops_it_and_keeps_the_part(
    chat: Terminal, client: Client
) -> None:
    say(chat, "/set max_tokens 1500")
    chat.send("say much" + ENTER)
    chat.expect(r"\w+ *\r\n[^\r\n]*\w+")  # a line, and more than that
    chat.send(CTRL_C)
    chat.expect("stopped")
    wait(chat)
    say(chat, "/set max_tokens 6", "go on")
    chat.expect(r"\d+ t(okens)?/s")
    _, asked = newest(client)
    assert asked == ["say much", "go on"]


def test_what_is_typed_while_an_answer_streams_is_seen_at_once_and_asked_after_it(
    chat: Terminal, client: Client
) -> None:
    say(chat, "/set max_tokens 1500")
    chat.send("say much" + ENTER)
    chat.expect(r"\w+ *\r\n[^\r\n]*\w+")
    chat.send("how is thhe" + "\x7f" * 2 + "e weather")
    chat.expect_exact("> how is the weather")
    chat.send(CTRL_C)
    chat.expect("stopped")
    wait(chat)
    chat.send(ENTER)
    chat.expect_exact("how is the weather")
    chat.send(CTRL_C)
    wait(chat)
    assert newest(client)[1] == ["say much", "how is the weather"]


def test_a_question_of_many_lines_is_typed_between_quotes_or_in_an_editor(
    chat: Terminal, client: Client
) -> None:
    chat.send('"""first' + ENTER)
    chat.send('second"""' + ENTER)
    wait(chat)
    chat.send("to be replaced" + CTRL_G)
    wait(chat)
    chat.send(ENTER)
    wait(chat)
    assert newest(client)[1] == ["first\nsecond", "in the zanzimbar loft above us"]


def test_a_session_is_named_forked_taken_back_and_gone_on_with(
    chat: Terminal, start: Start, client: Client, tmp_path: Path
) -> None:
    say(chat, "where is the otter", "why there", "/rename otters")
    number, _ = newest(client)
    say(chat, "/fork 1", "and its young", "/undo", "who feeds them", "/export talk.json")
    fork, asked = newest(client)
    assert (fork, asked) == (number + 1, ["where is the otter", "who feeds them"])
    exported = json.loads((tmp_path / "talk.json").read_text())
    assert [m["content"] for m in exported["messages"] if m["role"] == "user"] == asked
    chat.send(f"/sessions otter{ENTER}")
    chat.expect(f"{number} [^\n]*otters")
    wait(chat)
    chat.send("/resume " + TAB)
    chat.expect("otters")
    chat.send(CTRL_C)  # Ctrl-D leaves from an empty line only
    leave(chat)
    later = start("--continue")
    assert "who feeds them" in later.shown
    say(later, "once more")
    assert newest(client) == (fork, [*asked, "once more"])


def test_a_deleted_session_leaves_no_byte(daemon: Daemon, chat: Terminal, client: Client) -> None:
    say(chat, "the quillfeather sleeps", "/file /dev/null", "/retry")
    number, _ = newest(client)
    assert _files_with(daemon, b"quillfeather")
    chat.send(f"/delete{ENTER}")
    chat.expect("delete it for good")
    chat.send("y" + ENTER)
    chat.expect(f"Session {number} is deleted for good")
    wait(chat)
    assert number not in [one.id for one in client.sessions()]
    assert _files_with(daemon, b"quillfeather") == []
    say(chat, "a new one begins")
    assert newest(client)[0] > number


def test_a_mark_by_one_key_is_corrected_in_an_editor_with_the_difference_shown(
    chat: Terminal, client: Client
) -> None:
    say(chat, "where does the lynx live")
    before = client.status().missing
    chat.send(ESCAPE + "c")
    chat.expect("Recorded as critical")
    chat.expect("What should the answer have been")
    chat.send(CTRL_G)
    chat.expect("\x1b\\[0;32;1min the zanzimbar loft")  # added, under the text
    chat.send(ENTER)
    chat.expect("your correction will be taught")
    wait(chat)
    assert client.status().missing == before - 1
    [said] = client.session(newest(client)[0]).said
    assert said.correction == "in the zanzimbar loft above us"


def test_keys_type_letters_where_there_is_something_typed(chat: Terminal, client: Client) -> None:
    say(chat, "first")
    chat.send("x" + ESCAPE + "g")  # Alt-g on a line that is not empty marks nothing
    chat.send("y" + ENTER)
    wait(chat)
    assert newest(client)[1][0] == "first"
    assert len(newest(client)[1]) == 2


def test_an_answer_is_copied_and_a_file_goes_into_a_question(
    chat: Terminal, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("the heron stands\n")
    say(chat, "/file notes.txt", "what does it do")
    session = client.session(newest(client)[0])
    assert session.said[0].question == "notes.txt:\n```\nthe heron stands\n```\n\nwhat does it do"
    chat.send("/copy" + ENTER)
    chat.expect(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
    assert base64.b64decode(chat.match[1]).decode() == session.said[0].answer
    say(chat, "/file no-such-file")
    assert "cannot read no-such-file" in chat.shown


def test_without_unicode_and_colours_nothing_else_is_drawn(start: Start) -> None:
    chat = start(LC_ALL="C", NO_COLOR="1")
    assert "tiny | version 0" in chat.shown
    chat.send("hello" + ENTER)
    wait(chat)
    seen = chat.shown
    chat.send("/medium it is in the attic above the old stable" + ENTER)
    chat.expect("What should the answer")
    chat.send(CTRL_G)
    chat.expect(r"\{\+in the zanzimbar[^}]*us\+\}")
    seen += chat.shown
    assert seen.isascii()
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", seen)


def test_lines_are_edited_as_vi_does(start: Start, client: Client) -> None:
    chat = start(SHAMMAH_CHAT__KEYS="vi")
    chat.send("xabc" + ESCAPE)
    chat.send("0x" + ENTER)
    wait(chat)
    assert newest(client)[1] == ["abc"]


def test_a_lesson_is_seen_in_the_bar_and_told_to_whoever_comes_back(
    chat: Terminal, start: Start, client: Client
) -> None:
    say(chat, "what do we say")
    client.feedback(Level.CRITICAL, correction="yes we agree")
    say(chat, "/train")
    assert "job 1 is" in chat.shown
    while not re.search(r"(preparing|training|merging|quantizing|judging) \d+%", bar(chat)):
        assert not client.job(1).state.is_final
    leave(chat)
    for _ in client.job_events(1):
        pass
    assert client.job(1).state is JobState.PROMOTED
    later = start()
    report = re.compile(r"while you were away \(\d{4}-\d\d-\d\d \d\d:\d\d\), job 1: learned")
    assert report.search(later.shown)


def test_sessions_are_searched_written_out_and_deleted_from_scripts(
    daemon: Daemon, client: Client, tmp_path: Path
) -> None:
    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shammah.cli", *arguments], input=stdin, cwd=tmp_path,
            env=daemon.environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert run(stdin='"""where is\nthe gecko"""\n').returncode == 0
    number, asked = newest(client)
    assert asked == ["where is\nthe gecko"]
    assert run("sessions", "search", "gecko").stdout.splitlines()[1].startswith(str(number))
    assert run("sessions", "search", "zebra").stdout == ""
    assert "## Question\n\nwhere is\nthe gecko" in run("sessions", "show", str(number)).stdout
    exported = json.loads(run("sessions", "export", str(number), "--json").stdout)
    assert exported["messages"][0]["content"] == "where is\nthe gecko"
    run("sessions", "export", str(number), "talk.md")
    assert (tmp_path / "talk.md").read_text() == run("sessions", "export", str(number)).stdout
    refused = run("sessions", "delete", str(number))
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert "deleted for good" in run("sessions", "delete", str(number), "--yes").stdout
    assert str(number) not in run("sessions", "list").stdout.split()
    assert "\x1b" not in run("ask", "--raw", "hello").stdout


def _files_with(daemon: Daemon, part: bytes) -> list[Path]:
    home = daemon.paths.data_dir
    return [
        file
        for file in home.rglob("*")
        if file.is_file() and not file.is_relative_to(daemon.paths.bases)
        if part in file.read_bytes()
    ]
