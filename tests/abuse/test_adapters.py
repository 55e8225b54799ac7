"""Adapters that mean harm, and names that are paths, offered to a real daemon."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import httpx
import pytest

from shammah.bases.gguf_header import read_header
from tests.abuse.test_bodies import TRAVERSAL
from tests.abuse.test_models import _Evil
from tests.publish.adapters import random_tensors, write_peft
from tests.running import Daemon


@pytest.mark.parametrize("name", [*TRAVERSAL, "..", "token", "version-0", "a" * 5000])
def test_a_name_that_is_a_path_leads_nowhere(unix: httpx.Client, daemon: Daemon, name: str) -> None:
    token = daemon.paths.token.read_bytes()
    answers = [
        unix.get(f"/api/adapters/{name}"),
        unix.delete(f"/api/adapters/{name}"),
        unix.post(f"/api/adapters/{name}/load", json={}),
        unix.post(f"/api/adapters/{name}/unload"),
    ]
    assert {answer.status_code for answer in answers} <= {404, 405}
    exported = unix.post(
        "/api/adapters/export",
        json={"adapters": [{"name": name}], "kind": "gguf", "destination": "/tmp/never-written"},
    )
    assert exported.status_code == 404
    assert daemon.paths.token.read_bytes() == token


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", "/tmp/x", "a\x00b", "x.partial", "version-9"]
)
def test_an_adapter_cannot_be_called_by_a_path(
    unix: httpx.Client, tiny_base: Path, tmp_path: Path, name: str
) -> None:
    source = write_peft(tmp_path / "source", random_tensors(read_header(tiny_base)))
    answer = unix.post("/api/adapters", json={"path": str(source), "name": name})
    assert answer.status_code == 422


def test_a_pickled_adapter_is_not_loaded(unix: httpx.Client, tmp_path: Path) -> None:
    proof = tmp_path / "unpickled"
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(_Evil(proof)))
    answer = unix.post("/api/adapters", json={"path": str(folder)})
    assert answer.status_code == 422
    assert "is a pickle" in answer.json()["error"]["message"]
    assert not proof.exists()


@pytest.mark.parametrize(
    "config", ["[" * 100_000, "[]", '{"peft_type": "LORA"}', "\xff", '{"r": 1e400}']
)
def test_a_configuration_that_is_none_is_refused(
    unix: httpx.Client, tmp_path: Path, tiny_base: Path, config: str
) -> None:
    folder = write_peft(tmp_path / "adapter", random_tensors(read_header(tiny_base)))
    (folder / "adapter_config.json").write_bytes(config.encode("latin-1"))
    answer = unix.post("/api/adapters", json={"path": str(folder)})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "destination", ["", "x", "../x", "/tmp/a\x00b", "/tmp/" + "a" * 5000, "token"]
)
def test_an_export_goes_to_an_absolute_place_outside_the_home(
    unix: httpx.Client, daemon: Daemon, destination: str
) -> None:
    where = str(daemon.paths.data_dir / "x") if destination == "token" else destination
    answer = unix.post(
        "/api/adapters/export",
        json={"adapters": [{"name": "a"}], "kind": "gguf", "destination": where},
    )
    assert answer.status_code == 422
