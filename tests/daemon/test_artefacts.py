"""Files are what was recorded of them, or they are not loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shammah.errors import DamagedFile
from shammah.files import sha256_of
from shammah.paths import Paths
from shammah.protocol import Status
from shammah_daemon import artefacts
from tests.conftest import StartDaemon
from tests.running import wait_for
from tests.versions import Taught


async def test_a_file_that_changed_is_found_out(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"good")
    recorded = sha256_of(file)
    await artefacts.check(file, recorded)
    file.write_bytes(b"evil")
    with pytest.raises(DamagedFile, match=r"model\.gguf"):
        await artefacts.check(file, recorded)
    file.unlink()
    with pytest.raises(DamagedFile, match="cannot read"):
        await artefacts.check(file, recorded)


def test_a_file_is_read_once_under_all_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(artefacts, "sha256_of", counted)
    file, link = tmp_path / "model.gguf", tmp_path / "link.gguf"
    file.write_bytes(b"good")
    os.link(file, link)
    assert artefacts.digest(file) == artefacts.digest(link) == sha256_of(file)
    assert read == [file]


def flip_a_bit(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-1000, os.SEEK_END)
        [byte] = opened.read(1)
        opened.seek(-1000, os.SEEK_END)
        opened.write(bytes([byte ^ 1]))


def serves_the_base(now: Status) -> bool:
    return now.active_version == 0 and now.engine.state == "ready"


def test_a_damaged_version_does_not_serve_and_the_one_before_does(
    home: Paths, moved_in: Taught, start_daemon: StartDaemon
) -> None:
    file = home.version(1) / "model-Q8_0.gguf"
    daemon = start_daemon()
    with daemon.client as client:
        sound = client.chat([{"role": "user", "content": "Hello"}], max_tokens=2)
        assert sound.shammah.version == 1
    daemon.stop()

    flip_a_bit(file)
    daemon.start()
    with daemon.client as client:
        wait_for(lambda: serves_the_base(client.status()))
        answer = client.chat([{"role": "user", "content": "Hello"}], max_tokens=2)
        assert answer.shammah.version == 0
        problem = client.status().engine.problem
        assert problem is not None
        assert str(file) in problem
        with pytest.raises(DamagedFile):
            client.rollback(1)
        assert client.status().active_version == 0
