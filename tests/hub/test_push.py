"""Adapters pushed by a real child process to a hub on this machine: what arrives, and what not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from shammah.bases.gguf_header import read_header
from shammah.errors import Conflict, HubError, NotFound, ShammahError
from shammah.hub.card import About
from shammah.hub.push import Push
from shammah.paths import Paths
from shammah_daemon.bases import ignore_progress
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.stages import Stages
from tests.hub_server import TOKEN, Hub
from tests.publish.adapters import random_tensors, write_peft

ABOUT = About(
    title="tiny, version 1",
    base="tiny",
    base_repository=None,
    base_source="tiny.gguf",
    base_sha256="ab" * 32,
    examples=3,
    shammah="0.1.0",
)


@pytest.fixture
def adapter(tmp_path: Path, tiny_base: Path) -> Path:
    """A PEFT folder in which other programs have left something, too."""
    folder = write_peft(
        tmp_path / "adapter",
        random_tensors(read_header(tiny_base)),
        base_model_name_or_path="/home/me/private/tiny",
        target_modules=["q_proj", "v_proj"],
    )
    (folder / "training_args.bin").write_bytes(b"pickle")
    return folder


@pytest.fixture
def login(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has a token of the hub."""
    assert hub.url
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # else the library uploads to a Xet server only


async def push(home: Paths, wanted: Push) -> dict[str, object]:
    stages = Stages(Courtesy(), home.logs)
    return await stages.run(["shammah.hub", "push"], ignore_progress, wanted.as_dict(), online=True)


async def refusal(home: Paths, wanted: Push) -> ShammahError:
    with pytest.raises(ShammahError) as raised:
        await push(home, wanted)
    assert raised.value.hint
    return raised.value


@pytest.mark.usefixtures("login")
async def test_an_adapter_arrives_in_a_private_repository_with_a_card(
    home: Paths, hub: Hub, adapter: Path, tmp_path: Path
) -> None:
    gguf = tmp_path / "adapter.gguf"
    gguf.write_bytes(b"GGUF" * 50)
    wanted = Push(str(adapter), "me/lessons", ABOUT, str(gguf), message="Version 1")
    pushed = await push(home, wanted)
    assert pushed["url"] == f"{hub.url}/me/lessons"
    assert pushed["private"] is True
    assert hub.repositories["me/lessons"].private
    [commit] = hub.commits
    assert commit["summary"] == "Version 1"
    files = hub.repositories["me/lessons"].commits[str(pushed["commit"])]
    assert set(files) == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "adapter.gguf",
    }  # fmt: skip
    assert (
        files["adapter_model.safetensors"] == (adapter / "adapter_model.safetensors").read_bytes()
    )
    assert files["adapter.gguf"] == gguf.read_bytes()
    config = json.loads(files["adapter_config.json"])
    assert config["base_model_name_or_path"] == "tiny"
    assert config["r"] == 4
    card = files["README.md"].decode()
    about = vars(ModelCard(card).data)
    assert (about["library_name"], about["tags"]) == ("peft", ["lora", "shammah"])
    assert about["base_model"] is None
    assert "tiny.gguf" in card
    assert "ab" * 32 in card
    assert "q_proj, v_proj" in card
    assert 'from_pretrained(base, "me/lessons")' in card
    assert b"/home/me" not in b"".join(files.values())


@pytest.mark.usefixtures("login")
async def test_a_public_repository_is_pushed_to_only_on_request(
    home: Paths, hub: Hub, adapter: Path
) -> None:
    hub.commit("me/open", {"old.txt": b"old"})
    before = dict(hub.repositories["me/open"].commits)
    error = await refusal(home, Push(str(adapter), "me/open", ABOUT))
    assert isinstance(error, Conflict)
    assert "--public" in error.hint
    assert hub.repositories["me/open"].commits == before
    assert hub.uploads == {}
    pushed = await push(home, Push(str(adapter), "me/open", ABOUT, public=True))
    assert pushed["private"] is False


@pytest.mark.usefixtures("login")
async def test_the_card_names_a_base_that_the_hub_knows(
    home: Paths, hub: Hub, adapter: Path
) -> None:
    known = About(**{**vars(ABOUT), "base_repository": "them/base"})
    pushed = await push(home, Push(str(adapter), "me/lessons", known))
    files = hub.repositories["me/lessons"].commits[str(pushed["commit"])]
    about = vars(ModelCard(files["README.md"].decode()).data)
    assert about["base_model"] == "them/base"
    assert about["base_model_relation"] == "adapter"
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "them/base"


async def test_without_a_token_the_way_in_is_named(home: Paths, hub: Hub, adapter: Path) -> None:
    error = await refusal(home, Push(str(adapter), "me/lessons", ABOUT))
    assert isinstance(error, HubError)
    assert "hf auth login" in error.hint
    assert hub.repositories == {}


@pytest.mark.usefixtures("login")
async def test_a_folder_without_an_adapter_is_refused(
    home: Paths, hub: Hub, tmp_path: Path
) -> None:
    error = await refusal(home, Push(str(tmp_path), "me/lessons", ABOUT))
    assert isinstance(error, NotFound)
    assert hub.repositories == {}
