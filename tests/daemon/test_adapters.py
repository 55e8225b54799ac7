"""Adapters on a real daemon: taken in, added to answers and taken off, kept, and written out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from shammah.bases.gguf_header import read_header
from shammah.bases.registry import Registry
from shammah.client import Client
from shammah.engine.llama import Model
from shammah.errors import (
    AdapterError,
    Conflict,
    DamagedFile,
    NotFound,
    ShammahError,
    UsageError,
)
from shammah.files import sha256_of
from shammah.paths import Paths
from shammah.protocol import AdapterPart, AppliedView, ExportRequest, ImportAdapterRequest
from tests.asking import user
from tests.conftest import StartDaemon
from tests.publish.adapters import random_tensors, write_peft
from tests.running import ALONE, TINY, Daemon, furnish, home_in, running, wait_for
from tests.taught_adapters import ANSWER
from tests.versions import Taught

#: `taught_adapters.PROMPT`, as text.
PROMPT = "<|im_start|>user\nHello<|im_end|>\n"

OTHER = "other"


@pytest.fixture(scope="module")
def answer(tiny_base: Path) -> str:
    """`taught_adapters.ANSWER`, as text."""
    model = Model(tiny_base)
    text = b"".join(model.piece(token) for token in ANSWER).decode()
    model.close()
    return text


@pytest.fixture(scope="module")
def random_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "noise"
    return write_peft(folder, random_tensors(read_header(tiny_base)))


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_ground: Path,
    other_tiny_base: Path,
    taught_adapter: Path,
    random_adapter: Path,
) -> Iterator[Daemon]:
    """The tiny base serves, another base is there, and two adapters: `port` and `noise`."""
    paths = home_in(tmp_path_factory.mktemp("adapters"))
    furnish(paths, tiny_ground, TINY)
    registry = Registry(paths)
    sha256 = sha256_of(other_tiny_base)
    other = replace(registry.get(TINY), name=OTHER, gguf=str(other_tiny_base), sha256=sha256)
    registry.save(other)
    with running(paths) as daemon:
        with daemon.client as client:
            client.import_adapter(taught_adapter, "port")
            client.import_adapter(random_adapter)
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    """Each test begins and ends without a loaded adapter."""
    with daemon.client as client:
        yield client
    with daemon.client as client:
        for one in client.adapters():
            if one.scale is not None:
                client.unload_adapter(one.name)


def complete(client: Client, model: str = "shammah", tokens: int = len(ANSWER)) -> str:
    body = {"model": model, "prompt": PROMPT, "max_tokens": tokens, "temperature": 0}
    choices = client._request("POST", "/v1/completions", body).json()["choices"]
    return str(choices[0]["text"])


def test_imported_adapters_are_listed_with_what_they_are(client: Client, daemon: Daemon) -> None:
    port, noise = sorted(client.adapters(), key=lambda one: one.name, reverse=True)
    assert (port.name, port.source, port.base, port.rank) == ("port", "imported", TINY, 8)
    assert port.scaling == pytest.approx(16 / 8**0.5)
    assert (noise.name, noise.loaded, noise.scale, noise.problem) == ("noise", False, None, None)
    assert client.adapter("port") == port
    folder = daemon.paths.adapter("port")
    assert port.files == {name: sha256_of(folder / name) for name in port.files}
    assert not list(folder.rglob("*.bin"))


def test_an_adapter_is_added_within_a_second_and_taken_off(client: Client, answer: str) -> None:
    plain = complete(client)
    pid = client.status().engine.pid
    began = time.monotonic()
    loaded = client.load_adapter("port")
    assert time.monotonic() - began < 1
    assert (loaded.loaded, loaded.scale) == (True, 1.0)
    assert complete(client) == answer != plain
    assert client.status().adapters == [AppliedView(name="port", scale=1.0)]
    assert client.status().engine.pid == pid
    assert not client.unload_adapter("port").loaded
    assert complete(client) == plain
    assert client.status().adapters == []


def test_two_adapters_at_once_have_scales_of_their_own(client: Client, answer: str) -> None:
    plain = complete(client)
    client.load_adapter("port", 0.001)
    client.load_adapter("noise", 0.001)
    assert complete(client) == plain
    client.load_adapter("port")
    assert complete(client) == answer
    client.load_adapter("noise", 3.0)
    both = complete(client)
    assert both not in (plain, answer)
    scales = {one.name: one.scale for one in client.adapters()}
    assert scales == {"port": 1.0, "noise": 3.0}
    client.unload_adapter("port")
    assert complete(client) not in (plain, answer, both)


def test_a_stream_ends_as_it_began_while_adapters_change(
    client: Client, daemon: Daemon, answer: str
) -> None:
    question = user("Tell me a long story.")
    before = client.chat(question, max_tokens=400).choices[0].message.content
    told: list[str] = []
    with daemon.client as other:
        stream = other.chat_stream(question, max_tokens=400)
        told.append(next(stream).text)
        reading = threading.Thread(target=lambda: told.extend(chunk.text for chunk in stream))
        client.load_adapter("port")
        assert client.status().engine.active_requests == 0  # of the new state
        reading.start()
        assert complete(client) == answer
        reading.join()
    assert "".join(told) == before
    after = client.chat(question, max_tokens=400)
    assert after.choices[0].message.content != before


def test_an_answer_tells_which_adapters_had_a_part_in_it(client: Client) -> None:
    plain = client.chat(user(), max_tokens=4)
    client.load_adapter("port", 0.5)
    helped = client.chat(user(), max_tokens=4)
    applied = [AppliedView(name="port", scale=0.5)]
    assert helped.shammah.adapters == applied
    assert client.why(helped.id).adapters == applied
    assert client.why(plain.id).adapters == []
    assert helped.system_fingerprint == f"{TINY}@0+port*0.5"
    assert plain.system_fingerprint == f"{TINY}@0"


def test_a_model_that_is_named_answers_without_adapters(client: Client, answer: str) -> None:
    plain = complete(client)
    client.load_adapter("port")
    assert complete(client, "base") == plain
    assert complete(client) == answer


def test_what_is_loaded_outlives_the_engine_and_the_daemon(
    client: Client, daemon: Daemon, answer: str
) -> None:
    client.load_adapter("port")
    pid = client.status().engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: client.status().engine.pid != pid)
    assert complete(client) == answer
    daemon.stop()
    daemon.start()
    with daemon.client as again:
        assert complete(again) == answer
        assert again.status().adapters == [AppliedView(name="port", scale=1.0)]


def test_an_adapter_of_another_base_is_not_added(client: Client, taught_adapter: Path) -> None:
    client.import_adapter(taught_adapter, "foreign", base=OTHER)
    assert "it is for the base other" in (client.adapter("foreign").problem or "")
    with pytest.raises(Conflict, match="it is for the base other") as refused:
        client.load_adapter("foreign")
    assert f"shammah model use {OTHER}" in refused.value.hint
    with pytest.raises(Conflict, match="foreign is for the base"):
        client.remove_base(OTHER)
    client.delete_adapter("foreign")
    with pytest.raises(NotFound):
        client.adapter("foreign")


def test_an_adapter_for_other_shapes_is_refused(
    client: Client, daemon: Daemon, tmp_path: Path, tiny_base: Path
) -> None:
    tensors = {
        name: tensor.repeat(2, axis=1) if "lora_A" in name else tensor
        for name, tensor in random_tensors(read_header(tiny_base)).items()
    }
    with pytest.raises(AdapterError, match="the base's tensor") as refused:
        client.import_adapter(write_peft(tmp_path / "wide", tensors))
    assert refused.value.hint == "it was trained on another base"
    assert not daemon.paths.adapter("wide").exists()


def test_a_name_is_taken_once(client: Client, taught_adapter: Path) -> None:
    with pytest.raises(Conflict, match="there is an adapter called 'port'"):
        client.import_adapter(taught_adapter, "port")
    with pytest.raises(NotFound, match="nowhere"):
        client.import_adapter(taught_adapter, "more", base="nowhere")
    request = ImportAdapterRequest(path="relative/folder")
    with pytest.raises(UsageError, match="absolute"):
        client._request("POST", "/api/adapters", request)


def test_what_is_loaded_is_not_deleted(client: Client) -> None:
    client.load_adapter("port")
    with pytest.raises(Conflict, match="port is loaded"):
        client.delete_adapter("port")
    client.unload_adapter("port")
    with pytest.raises(Conflict, match="port is not loaded"):
        client.unload_adapter("port")


def test_a_damaged_file_is_neither_loaded_nor_written_out(
    client: Client, daemon: Daemon, random_adapter: Path, tmp_path: Path
) -> None:
    client.import_adapter(random_adapter, "damaged")
    plain = complete(client)
    client.load_adapter("damaged")
    gguf = daemon.paths.adapter("damaged") / "adapter.gguf"
    content = bytearray(gguf.read_bytes())
    content[-1] ^= 1
    gguf.write_bytes(content)
    pid = client.status().engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: client.status().engine.pid != pid)
    assert complete(client) == plain  # it serves all the same
    assert "the adapter damaged is not added" in (client.status().engine.problem or "")
    client.unload_adapter("damaged")
    assert client.status().engine.problem is None
    with pytest.raises(DamagedFile):
        client.load_adapter("damaged")
    with pytest.raises(DamagedFile):
        export(client, "gguf", tmp_path / "out.gguf", "damaged")
    client.delete_adapter("damaged")


def test_a_damaged_manifest_hides_one_adapter_only(
    client: Client, daemon: Daemon, random_adapter: Path
) -> None:
    client.import_adapter(random_adapter, "broken")
    (daemon.paths.adapter("broken") / "manifest.json").write_text("{")
    assert {one.name for one in client.adapters()} == {"port", "noise"}
    shutil.rmtree(daemon.paths.adapter("broken"))


def export(client: Client, kind: str, destination: Path | str, *names: str, **more: str) -> Path:
    wish = {"adapters": [{"name": name} for name in names or ("port",)], "kind": kind}
    request = ExportRequest.model_validate(wish | {"destination": str(destination), **more})
    *_, done = client.export_adapters(request)
    assert done.kind == "done"
    assert done.path == str(destination)
    return Path(destination)


def test_an_export_can_be_taken_in_again(client: Client, tmp_path: Path, answer: str) -> None:
    again = export(client, "peft", tmp_path / "peft")
    assert client.import_adapter(again, "again").remark == ""
    with pytest.raises(Conflict, match="whose file is another"):
        client.import_adapter(again, "wrong", base=OTHER)
    client.load_adapter("again")
    assert complete(client) == answer
    client.unload_adapter("again")
    client.delete_adapter("again")


def test_models_with_adapters_merged_in_are_written(client: Client, tmp_path: Path) -> None:
    gguf = export(client, "merged-gguf", tmp_path / "merged.gguf", "port", "noise")
    header = read_header(gguf)
    header.check_complete()
    assert header.fields["general.file_type"] == 7  # Q8_0
    ollama = export(client, "ollama", tmp_path / "ollama", quantization="F16")
    lines = (ollama / "Modelfile").read_text().splitlines()
    for line in (
        "FROM ./model.gguf",
        "PARAMETER num_ctx 2048",
        "PARAMETER temperature 0.0",
        'PARAMETER stop "<|im_end|>"',
    ):
        assert line in lines
    assert any(line.startswith('SYSTEM """You are a helpful AI assistant') for line in lines)
    merged = export(client, "merged-safetensors", tmp_path / "merged")
    assert (merged / "model.safetensors").exists()
    assert json.loads((merged / "config.json").read_bytes())["model_type"] == "llama"


@pytest.mark.parametrize(
    ("kind", "more", "error", "message"),
    [
        ("peft", {"quantization": "Q8_0"}, UsageError, "has no quantization"),
        ("ollama", {"quantization": "Q3_X"}, UsageError, "no quantization is called 'Q3_X'"),
        ("gguf", {}, UsageError, "there is no folder"),
    ],
)
def test_an_export_that_cannot_be_written_is_refused(
    client: Client, kind: str, more: dict[str, str], error: type[ShammahError], message: str
) -> None:
    with pytest.raises(error, match=message):
        export(client, kind, "/no/such/folder/out", **more)


def test_a_destination_is_an_absolute_path(client: Client) -> None:
    with pytest.raises(UsageError, match="absolute"):
        export(client, "peft", "relative")


def test_an_export_overwrites_nothing(client: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for kind in ("peft", "merged-gguf", "merged-safetensors", "ollama"):
        with pytest.raises(Conflict, match="nothing is overwritten"):
            export(client, kind, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


def test_nothing_is_written_into_the_home_or_of_nothing(client: Client, daemon: Daemon) -> None:
    with pytest.raises(UsageError, match="inside Shammah's own folder"):
        export(client, "gguf", daemon.paths.adapters / "x.gguf")
    with pytest.raises(NotFound, match="'nothing'"):
        export(client, "gguf", Path("/tmp/never-written"), "nothing")
    with pytest.raises(UsageError, match="one adapter"):
        export(client, "peft", Path("/tmp/never-written"), "port", "noise")


def test_hanging_up_ends_an_export_and_leaves_nothing(
    http: httpx.Client, daemon: Daemon, tmp_path: Path
) -> None:
    request = ExportRequest(
        adapters=[AdapterPart(name="port")],
        kind="merged-safetensors",
        destination=str(tmp_path / "merged"),
    )
    with pytest.raises(httpx.ReadTimeout):
        http.post("/api/adapters/export", json=request.model_dump(), timeout=0.5)
    wait_for(lambda: not daemon.children("shammah.training"))
    assert list(tmp_path.iterdir()) == []


# those of the versions


def test_a_versions_adapter_is_for_the_base_itself(
    moved_in: Taught, start_daemon: StartDaemon, home: Paths, tmp_path: Path
) -> None:
    daemon = start_daemon(ALONE)
    with daemon.client as client:
        [own] = client.adapters()
        assert (own.name, own.source, own.version) == ("version-1", "version", 1)
        assert own.files == {name: sha256_of(home.version(1) / name) for name in own.files}
        with pytest.raises(Conflict, match="would count twice") as refused:
            client.load_adapter("version-1")
        assert "versions rollback 0" in refused.value.hint
        with pytest.raises(Conflict, match="belongs to version 1"):
            client.delete_adapter("version-1")
        merged = complete(client)
        client.rollback(0)
        plain = complete(client)
        client.load_adapter("version-1")
        attached = complete(client)
        assert attached != plain
        with pytest.raises(Conflict, match="the adapter of version 1 is loaded"):
            client.delete_version(1)
        # Chosen for the base: it waits while a version serves, and comes back with the base.
        client.rollback(1)
        assert complete(client) == merged
        assert client.status().adapters == []
        waiting = client.adapter("version-1")
        assert (waiting.loaded, waiting.scale) == (False, 1.0)
        assert "would count twice" in (waiting.problem or "")
        client.rollback(0)
        assert complete(client) == attached
        # The exported adapter is one that can be taken in, and that is deleted by itself.
        client.import_adapter(export(client, "peft", tmp_path / "one", "version-1"), "copy")
        client.unload_adapter("version-1")
        client.load_adapter("copy")
        assert complete(client) == attached
        client.delete_version(1)
        assert [one.name for one in client.adapters()] == ["copy"]
