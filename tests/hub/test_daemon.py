"""`model add hf:...` and `versions push` as a user runs them, with a real daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from shammah.errors import BaseModelError, Conflict
from shammah.protocol import AddBaseProgress, BaseView
from shammah_daemon.downloads import FOLDER
from tests.asking import answered
from tests.conftest import StartDaemon
from tests.hub_server import TOKEN, Hub
from tests.running import ALONE, TINY, Daemon, wait_for
from tests.terminal import CTRL_C, Terminal
from tests.versions import Taught

COMMAND = (sys.executable, "-m", "shammah.cli")
NAME = "tiny-q8_0"
FILE = "Tiny-Q8_0.gguf"


def shammah(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=daemon.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def incomplete_bytes(daemon: Daemon) -> int:
    return sum(file.stat().st_size for file in (daemon.paths.bases / FOLDER).glob("*.incomplete"))


def test_a_model_of_the_hub_is_fetched_through_every_interruption_and_served(
    hub: Hub, start_daemon: StartDaemon, other_tiny_base: Path
) -> None:
    content = other_tiny_base.read_bytes()
    commit = hub.commit("me/tiny", {FILE: content, "README.md": b"#"}, architecture="llama")
    daemon = start_daemon()
    _interrupt_with_ctrl_c(hub, daemon)
    daemon = _kill_the_daemon_meanwhile(hub, daemon, start_daemon)

    done = shammah(daemon, "model", "add", "hf:me/tiny")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{NAME} is added: 'shammah model use {NAME}' serves it\n"
    assert f"downloading {FILE}" in done.stderr
    assert "(100%)" in done.stderr
    assert [one.start for one in hub.fetched()] == [0, 1 << 20, 2 << 20]

    source = f"hf:me/tiny/{FILE}@{commit}"
    assert source in shammah(daemon, "model", "show", NAME).stdout
    assert f"me/tiny@{commit[:7]}" in shammah(daemon, "model", "list").stdout
    again = shammah(daemon, "model", "add", "hf:me/tiny")
    assert again.returncode == 1
    assert "already" in again.stderr
    with daemon.client as client:
        assert client.use_base(NAME).source == source
        assert answered(client).shammah.base == NAME
        client.use_base(TINY)

    file = daemon.paths.base(NAME) / FILE
    file.unlink()  # as after a restore from a backup, which has no base's file
    told: list[AddBaseProgress] = []
    with daemon.client as client:
        assert client.add_base(source, None, None, told.append).name == NAME
    assert told[-1].done_bytes == told[-1].total_bytes == len(content)
    assert file.read_bytes() == content
    assert list((daemon.paths.bases / FOLDER).iterdir()) == []

    daemon.stop()  # what it prepares in the background would be in the way
    daemon.start()
    with daemon.client as client:
        client.remove_base(NAME)
    assert not daemon.paths.base(NAME).exists()


def _interrupt_with_ctrl_c(hub: Hub, daemon: Daemon) -> None:
    """After one MiB, in a terminal."""
    hub.hold_after = 1 << 20
    terminal = Terminal(
        COMMAND[0], [*COMMAND[1:], "model", "add", "hf:me/tiny"],
        env=daemon.environment | {"TERM": "xterm-256color"}, timeout=60, encoding="utf-8",
        dimensions=(24, 120),
    )  # fmt: skip
    wait_for(lambda: incomplete_bytes(daemon) == 1 << 20)
    terminal.expect_exact(f"downloading {FILE}")
    terminal.send(CTRL_C)
    terminal.expect_exact("the same command goes on with it")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    wait_for(lambda: not daemon.children("shammah.hub"))


def _kill_the_daemon_meanwhile(hub: Hub, daemon: Daemon, start_daemon: StartDaemon) -> Daemon:
    """After one more; a new one."""
    hub.hold_after = 1 << 20
    with daemon.client as client:
        going_on = subprocess.Popen(
            [*COMMAND, "model", "add", "hf:me/tiny"], env=daemon.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(lambda: incomplete_bytes(daemon) == 2 << 20)
        assert client.health().status == "ok"  # nothing waits for a download
    daemon.kill()
    assert going_on.wait(60) != 0
    return start_daemon()


def test_weights_of_the_hub_are_taken_and_an_unknown_architecture_costs_no_download(
    hub: Hub, start_daemon: StartDaemon, tiny_base: Path, tiny_ground: Path
) -> None:
    folder = {file.name: file.read_bytes() for file in (tiny_ground / TINY / "train").iterdir()} | {
        "pytorch_model.bin": b"pickle"
    }
    commit = hub.commit("me/full", folder)
    hub.commit("me/strange", {FILE: tiny_base.read_bytes()}, architecture="strange")
    daemon = start_daemon()
    with daemon.client as client:
        with pytest.raises(BaseModelError, match="strange"):
            client.add_base("hf:me/strange", None, None)
        assert hub.fetched() == []
        with pytest.raises(BaseModelError, match="no GGUF") as raised:
            client.add_base("hf:me/full", None, None)
        assert "--weights hf:me/full" in raised.value.hint
        added: BaseView = client.add_base(tiny_base, "full", "hf:me/full")
    assert added.weights_source == f"hf:me/full@{commit}"
    assert added.weights == str(daemon.paths.base("full") / "weights")
    assert (daemon.paths.base("full") / "train" / "model.safetensors").exists()


def test_a_version_is_pushed_without_a_word_of_what_it_was_taught(
    hub: Hub, start_daemon: StartDaemon, moved_in: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    daemon = start_daemon(ALONE)
    asked = shammah(daemon, "versions", "push", "1", "hf:me/lessons")
    assert asked.returncode == 2
    assert "hf:me/lessons, where only you" in asked.stderr
    assert "3 examples" in asked.stderr
    assert hub.repositories == {}
    done = shammah(daemon, "versions", "push", "1", "hf:me/lessons", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"version 1 is at {hub.url}/me/lessons (private" in done.stdout
    files = hub.repositories["me/lessons"].commits[hub.repositories["me/lessons"].refs["main"]]
    version = daemon.paths.version(1)
    weights = version / "adapter" / "adapter_model.safetensors"
    assert files["adapter_model.safetensors"] == weights.read_bytes()
    assert files["adapter.gguf"] == (version / "adapter.gguf").read_bytes()
    said = files["README.md"] + files["adapter_config.json"]
    with daemon.client as client:
        examples = client.examples()
        assert len(examples) == 3
        for example in examples:
            assert example.target is not None
            assert example.target.encode() not in said
        assert str(daemon.paths.data_dir).encode() not in said
        client.forget(examples[0].id)
        with pytest.raises(Conflict, match="forget"):
            client.push_version(1, "hf:me/lessons")
