"""Models that mean harm, offered to a real daemon."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import httpx

from tests.running import Daemon
from tests.tiny import tiny_gguf

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


class _Evil:
    """Unpickled, it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self._file), "w")


def test_a_template_that_never_ends_is_refused_and_holds_nobody_up(
    unix: httpx.Client, daemon: Daemon, tmp_path: Path
) -> None:
    hostile = tiny_gguf("llama", tmp_path, template=ENDLESS)
    began = time.monotonic()
    answer = unix.post("/api/bases", json={"path": str(hostile), "name": "hostile"})
    assert answer.status_code == 422
    assert "chat template" in answer.json()["error"]["message"]
    assert time.monotonic() - began < 20


def test_pickled_weights_are_not_loaded(
    unix: httpx.Client, tiny_base: Path, tmp_path: Path
) -> None:
    folder, proof = tmp_path / "weights", tmp_path / "unpickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil(proof)))
    answer = unix.post(
        "/api/bases", json={"path": str(tiny_base), "name": "evil", "weights": str(folder)}
    )
    assert answer.status_code == 422
    assert "safetensors" in answer.json()["error"]["message"]
    assert not proof.exists()
