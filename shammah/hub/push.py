"""Puts an adapter into a repository on the hub: a PEFT folder, its GGUF form and a model card, in
one commit. Nothing else of the folder that it comes from is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, ModelInfo
from huggingface_hub.errors import RepositoryNotFoundError

from shammah.errors import Conflict, NotFound
from shammah.hub.card import About, card
from shammah.hub.refusals import explaining
from shammah.hub.resolve import ASK_SECONDS, api

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
GGUF = "adapter.gguf"
CARD = "README.md"


@dataclass(frozen=True)
class Push:
    """What is pushed, and where to."""

    adapter: str  # a PEFT folder
    repository: str  # OWNER/NAME
    about: About
    gguf: str | None = None  # the same adapter for llama.cpp
    public: bool = False
    message: str = "Upload adapter"  # of the commit

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Push:
        return cls(**{**data, "about": About(**data["about"])})


@dataclass(frozen=True)
class Pushed:
    """Where it is now."""

    url: str
    commit: str
    private: bool
    files: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def push(wanted: Push) -> Pushed:
    """Make the repository if there is none, and commit the adapter to its main branch.

    Raises:
        NotFound: the folder holds no adapter.
        Conflict: the repository is public, and that was not asked for.
        HubError: the hub cannot be reached, or does not let us.
    """
    files = _files(wanted)
    hub = api()
    with explaining(wanted.repository):
        private = _require_repository(hub, wanted)
        done = hub.create_commit(
            wanted.repository,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=wanted.message,
        )
    return Pushed(
        url=f"{hub.endpoint}/{wanted.repository}",
        commit=done.oid,
        private=private,
        files=sorted(files),
    )


def _files(wanted: Push) -> dict[str, bytes | str]:
    """What goes into the repository: names, and contents or paths."""
    folder = Path(wanted.adapter)
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise NotFound(
            f"{folder} holds no adapter: {CONFIG} or {WEIGHTS} is missing",
            hint="give a folder that PEFT has saved with safetensors",
        )
    config = json.loads((folder / CONFIG).read_bytes())
    # Where the base lies on this machine is nobody's business, and of no use elsewhere.
    config["base_model_name_or_path"] = wanted.about.base_repository or wanted.about.base
    files: dict[str, bytes | str] = {
        CONFIG: json.dumps(config, indent=2).encode(),
        WEIGHTS: str(folder / WEIGHTS),
        CARD: card(
            wanted.about, config, wanted.repository, with_gguf=wanted.gguf is not None
        ).encode(),
    }
    if wanted.gguf is not None:
        files[GGUF] = wanted.gguf
    return files


def _require_repository(hub: HfApi, wanted: Push) -> bool:
    """Whether the repository, which there is then, is private."""
    info = _look(hub, wanted.repository)
    if info is None:
        hub.create_repo(wanted.repository, private=not wanted.public, exist_ok=True)
        info = hub.model_info(wanted.repository, timeout=ASK_SECONDS)
    private = bool(info.private)
    if not private and not wanted.public:
        raise Conflict(
            f"{wanted.repository} is public: everybody could read what is pushed",
            hint="say so with --public, or name another repository",
        )
    return private


def _look(hub: HfApi, repository: str) -> ModelInfo | None:
    try:
        return hub.model_info(repository, timeout=ASK_SECONDS)
    except RepositoryNotFoundError:  # or one that we may not see: to make it will say so
        return None
