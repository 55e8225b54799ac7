"""Real downloads by real child processes from a hub on this machine: whole, broken off, refused."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from shammah.errors import DiskFull, HubError, NotFound, ShammahError
from shammah.files import sha256_of
from shammah.hub.download import CHUNK_BYTES, INCOMPLETE
from shammah.hub.reference import Found
from shammah.paths import Paths
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.downloads import FOLDER, Downloads, Parts
from shammah_daemon.stages import ChildKilled, Stages
from tests.hub_server import TOKEN, Hub
from tests.running import until

REFERENCE = "hf:me/it"
NAME = "it-Q8_0.gguf"
CONTENT = random.Random(0).randbytes(5 << 20)


class Fetcher:
    """Finds and fetches as the daemon does, and keeps what was told meanwhile."""

    def __init__(self, paths: Paths) -> None:
        self.downloads = Downloads(paths, Stages(Courtesy(), paths.logs))
        self.folder = paths.bases / FOLDER
        self.base = paths.base("it")
        self.told: list[dict[str, Any]] = []

    async def __call__(self, path: str = REFERENCE, weights: str | None = None) -> Parts:
        parts = await self.downloads.find(path, weights)
        await self.downloads.fetch(parts, self.base, self._tell)
        return parts

    async def refusal(self, path: str = REFERENCE, weights: str | None = None) -> ShammahError:
        with pytest.raises(ShammahError) as raised:
            await self(path, weights)
        assert raised.value.hint
        return raised.value

    @property
    def file(self) -> Path:
        return self.base / NAME

    @property
    def incomplete_bytes(self) -> int:
        return sum(f.stat().st_size for f in self.folder.glob("*" + INCOMPLETE))

    async def _tell(self, fields: dict[str, Any]) -> None:
        self.told.append(fields)


@pytest.fixture
def fetch(home: Paths, hub: Hub) -> Fetcher:
    return Fetcher(home)


def commit_of(parts: Parts) -> str:
    assert isinstance(parts.gguf, Found)
    return parts.gguf.commit


async def test_a_file_arrives_as_it_is_at_the_commit_that_main_means_now(
    fetch: Fetcher, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.commit("me/it", {NAME: CONTENT, "README.md": b"#"}, private=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    parts = await fetch()
    assert fetch.file.read_bytes() == CONTENT
    assert parts.source == f"hf:me/it/{NAME}@{commit}"
    assert f"/me/it/resolve/{commit}/{NAME}" in [one.path for one in hub.asked]
    assert [one.authorized for one in hub.fetched()] == [False]  # the token stays with the hub
    assert {one["total_bytes"] for one in fetch.told} == {len(CONTENT)}
    assert fetch.told[-1]["stage"] == "verifying"
    assert fetch.told[-1]["done_bytes"] == len(CONTENT)
    assert fetch.file.stat().st_mode & 0o777 == 0o600
    fetch.downloads.forget(parts)
    assert list(fetch.folder.iterdir()) == []


async def test_a_broken_connection_is_taken_up_where_it_broke(fetch: Fetcher, hub: Hub) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.cut_after = 5 << 19
    await fetch()
    first, second = hub.fetched()
    assert first.start == 0
    assert second.start == 2 << 20
    assert hub.sent_bytes < len(CONTENT) + CHUNK_BYTES
    assert fetch.file.read_bytes() == CONTENT


def downloads() -> list[psutil.Process]:
    """Of this process's children, which may render templates too."""
    children = psutil.Process().children()
    return [child for child in children if "shammah.hub" in child.cmdline()]


async def test_a_killed_download_is_taken_up_by_the_next_one(fetch: Fetcher, hub: Hub) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.hold_after = 3 << 20
    work = asyncio.create_task(fetch())
    await until(lambda: fetch.incomplete_bytes >= 3 << 20)
    [child] = downloads()
    child.send_signal(signal.SIGKILL)
    with pytest.raises(ChildKilled):
        await work
    assert not fetch.base.exists()
    await fetch()
    assert [one.start for one in hub.fetched()] == [0, 3 << 20]
    assert fetch.file.read_bytes() == CONTENT


async def test_a_cancelled_download_ends_at_once_and_keeps_what_has_arrived(
    fetch: Fetcher, hub: Hub
) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.hold_after = 2 << 20
    work = asyncio.create_task(fetch())
    await until(lambda: fetch.incomplete_bytes >= 2 << 20)
    work.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await work
    assert downloads() == []
    assert fetch.incomplete_bytes == 2 << 20


async def test_a_file_that_is_not_what_the_hub_says_is_refused_and_fetched_anew(
    fetch: Fetcher, hub: Hub
) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.corrupt = True
    error = await fetch.refusal()
    assert isinstance(error, HubError)
    assert "hash" in error.message
    assert not fetch.file.exists()
    hub.corrupt = False
    await fetch()
    assert fetch.file.read_bytes() == CONTENT


async def test_branch_tag_and_commit_pin_what_is_fetched(fetch: Fetcher, hub: Hub) -> None:
    old = hub.commit("me/it", {NAME: CONTENT}, "v1", "dev")
    new = hub.commit("me/it", {NAME: CONTENT[::-1]})
    for revision, commit in (("v1", old), ("dev", old), (old, old), ("main", new)):
        assert commit_of(await fetch.downloads.find(f"{REFERENCE}@{revision}", None)) == commit
    await fetch(f"{REFERENCE}@v1")
    assert fetch.file.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf:me/nothing", "me/nothing"),
        ("hf:me/it@v9", "'v9'"),
        ("hf:me/it/no.gguf", "no.gguf"),
        ("hf:me/secret", "me/secret"),
    ],
)
async def test_what_is_not_there_is_named(
    fetch: Fetcher, hub: Hub, reference: str, said: str
) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.commit("me/secret", {NAME: CONTENT}, private=True)
    error = await fetch.refusal(reference)
    assert isinstance(error, NotFound)
    assert said in error.message
    assert reference != "hf:me/secret" or "HF_TOKEN" in error.hint


async def test_a_gated_repository_says_how_to_get_in(
    fetch: Fetcher, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("me/it", {NAME: CONTENT}, gated=True)
    error = await fetch.refusal()
    assert isinstance(error, HubError)
    assert "gated" in error.message
    assert f"{hub.url}/me/it" in error.hint
    assert "hf auth login" in error.hint
    assert "HF_TOKEN" in error.hint
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    await fetch()
    assert fetch.file.read_bytes() == CONTENT


async def test_what_the_disk_cannot_hold_is_not_begun(fetch: Fetcher, hub: Hub) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.claimed_bytes = 40_000_000_000 * 1_000
    error = await fetch.refusal()
    assert isinstance(error, DiskFull)
    assert hub.fetched() == []


async def test_a_hub_cannot_choose_where_a_file_is_written(fetch: Fetcher, hub: Hub) -> None:
    hub.commit("me/it", {NAME: CONTENT})
    hub.claimed_sha256 = "../../escaped"
    error = await fetch.refusal()
    assert isinstance(error, HubError)
    assert hub.fetched() == []


async def test_offline_without_a_cached_file_names_the_variable(
    fetch: Fetcher, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("me/it", {NAME: CONTENT, "README.md": b"#"})
    _cache("me/it", "README.md")
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = await fetch.refusal()
    assert "HF_HUB_OFFLINE" in error.message
    assert hub.asked == []


@pytest.mark.parametrize("offline", [True, False])
async def test_what_the_users_cache_has_is_not_fetched(
    fetch: Fetcher, hub: Hub, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    commit = hub.commit("me/it", {NAME: CONTENT})
    _cache("me/it", NAME)
    hub.asked.clear()
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    parts = await fetch()
    assert parts.source == f"hf:me/it/{NAME}@{commit}"
    assert sha256_of(fetch.file) == sha256_of(next(_cached_blobs(fetch)))
    assert hub.fetched() == []
    assert not (offline and hub.asked)


async def test_an_unreachable_hub_is_named(fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = await fetch.refusal()
    assert isinstance(error, HubError)
    assert "http://127.0.0.1:9" in error.message
    assert "HF_ENDPOINT" in error.hint


async def test_of_weights_no_pickle_and_no_code_is_even_asked_for(
    fetch: Fetcher, hub: Hub, tmp_path: Path
) -> None:
    weights = {
        "config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": CONTENT,
        "pytorch_model.bin": b"pickle", "modeling_it.py": b"code",
    }  # fmt: skip
    commit = hub.commit("me/full", weights)
    parts = await fetch(str(tmp_path / "local.gguf"), "hf:me/full")
    assert parts.weights_source == f"hf:me/full@{commit}"
    assert sorted(f.name for f in (fetch.base / "weights").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    asked = " ".join(one.path for one in hub.asked)
    assert "model.safetensors" in asked
    assert "pytorch_model" not in asked
    assert "modeling" not in asked


def _cache(repository: str, name: str) -> None:
    """As any other program that uses the hub leaves a file in the user's cache."""
    program = "import sys, huggingface_hub as h; h.hf_hub_download(sys.argv[1], sys.argv[2])"
    subprocess.run(
        [sys.executable, "-c", program, repository, name], check=True, capture_output=True
    )


def _cached_blobs(fetch: Fetcher) -> Any:
    return (fetch.base.parents[2] / "huggingface" / "hub").glob("*/blobs/*")
