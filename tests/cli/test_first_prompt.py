"""The first prompt of a chat: what it does without, and what happens while the rest is opened."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from shammah.paths import Paths
from tests.terminal import CTRL_C, ENTER, Terminal, leave

pytestmark = pytest.mark.timeout(60)

PROMPT_OPENS, PROMPT_CLOSES = "\x1b[?2004h", "\x1b[?2004l"

#: What takes long to import. With it the prompt came after a second, instead of a quarter.
SLOW = {
    "httpx", "pydantic", "pydantic_settings", "tomlkit", "typer", "psutil", "numpy",
    "rich.markdown", "rich.live", "rich.progress",
    "shammah.client", "shammah.config", "shammah.launch", "shammah.protocol", "shammah.repl.chat",
}  # fmt: skip

#: The chat, up to its first prompt: there the file of the argument is told what is loaded.
UNTIL_PROMPT = """
import sys
from pathlib import Path
from prompt_toolkit import PromptSession
from shammah import cli

def tell(session, **options):
    loaded.write_text(" ".join(sys.modules))
    raise EOFError

loaded = Path(sys.argv.pop())
PromptSession.prompt = tell
cli.main()
"""

Start = Callable[..., Terminal]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the chat in a terminal, without waiting for anything."""
    spawned: list[Terminal] = []

    def begin(*command: str) -> Terminal:
        arguments = [*(command or ("-m", "shammah.cli"))]
        chat = Terminal(sys.executable, arguments, encoding="utf-8", timeout=15)
        spawned.append(chat)
        return chat

    yield begin
    for chat in spawned:
        chat.close(force=True)


@pytest.fixture
def silent(paths: Paths) -> Iterator[None]:
    """Something listens on the daemon's socket and never answers."""
    paths.create()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(paths.socket))
        listening.listen()
        yield
    paths.socket.unlink()


@pytest.mark.usefixtures("stand_in")
def test_it_waits_for_nothing_that_is_slow_to_import(start: Start, tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    start("-c", UNTIL_PROMPT, str(loaded)).expect(pexpect.EOF)
    modules = set(loaded.read_text().split())
    assert "prompt_toolkit" in modules
    assert not modules & SLOW


@pytest.mark.usefixtures("stand_in")
def test_its_settings_are_read_without_the_others(start: Start, paths: Paths) -> None:
    paths.config_file.write_text('[chat]\nkeys = "vi"\n')
    loaded = paths.data_dir / "loaded"
    start("-c", UNTIL_PROMPT, str(loaded)).expect(pexpect.EOF)
    assert not set(loaded.read_text().split()) & SLOW


@pytest.mark.usefixtures("stand_in")
def test_what_is_typed_before_it_is_asked(start: Start) -> None:
    chat = start()
    chat.send("why?" + ENTER)
    chat.expect("answer 0 to why")
    chat.expect("more until")
    assert leave(chat) == 0


@pytest.mark.usefixtures("stand_in")
def test_what_is_typed_while_the_chat_is_opened_is_seen_with_the_first_answer(start: Start) -> None:
    chat = start()
    chat.expect_exact(PROMPT_OPENS)
    chat.send("slow" + ENTER)
    chat.expect_exact(PROMPT_CLOSES)
    chat.send("why?" + ENTER)
    chat.expect("> why")
    assert "word199" not in chat.shown
    chat.send(CTRL_C)
    chat.expect("answer 0 to why")


@pytest.mark.usefixtures("stand_in")
def test_a_command_typed_at_once_is_completed(start: Start) -> None:
    chat = start()
    chat.send("/cri")
    chat.expect("the last answer is badly wrong")


@pytest.mark.usefixtures("stand_in")
def test_wrong_settings_end_the_chat_as_they_end_a_command(start: Start, paths: Paths) -> None:
    paths.config_file.write_text("[training]\nrank = 0\n")
    chat = start()
    chat.expect(r"error: training\.rank = 0 in .*config\.toml")
    chat.expect("hint: change it with")
    chat.expect(pexpect.EOF)
    chat.close()
    assert chat.exitstatus == 2


@pytest.mark.usefixtures("silent")
def test_a_daemon_that_hangs_holds_up_neither_the_prompt_nor_who_leaves(start: Start) -> None:
    chat = start()
    chat.expect_exact(PROMPT_OPENS)
    assert leave(chat) == 0
