"""Takes in a PEFT folder that somebody else made: checked, copied, and converted for llama.cpp.

Knows no store and no engine. What is checked is the copy, so that nothing changes afterwards.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from shammah.bases.gguf_header import Header, read_header
from shammah.errors import Conflict, JobError, UsageError
from shammah.files import building, require_space, sha256_of
from shammah.publish import ADAPTER_CONFIG, ADAPTER_FILE, ADAPTER_FOLDER, TENSORS_FILE
from shammah.publish.adapter import (
    check_size,
    read_adapter,
    read_config,
    write_adapter,
)
from shammah.publish.manifest import Manifest

#: What an exported adapter says of its base, beside PEFT's own files.
PROVENANCE = "shammah.json"

#: Initialisations of PEFT that change the base's own weights: the adapter alone is not the lesson.
CHANGES_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True)
class Import:
    """What is taken in, and where it goes."""

    source: str  # a PEFT folder
    folder: str  # is made
    name: str
    base: str  # its name, and below its file
    base_gguf: str
    base_sha256: str
    other_bases: list[str]  # the names of all others
    created_at: str


def import_adapter(wanted: Import) -> Manifest:
    """Make `wanted.folder` from `wanted.source`.

    Raises:
        JobError: unreadable, no plain LoRA, or one for another base; nothing is left behind.
        BaseModelError: it changes a layer that the base's architecture does not have.
        UsageError: there is no such PEFT folder.
        StorageError: the disk is full.
    """
    source, base = Path(wanted.source), read_header(Path(wanted.base_gguf))
    if not (source / ADAPTER_CONFIG).is_file():
        raise UsageError(
            f"{source} is no PEFT folder: it has no {ADAPTER_CONFIG}",
            hint="give the folder that save_pretrained() has written",
        )
    check_size(source / TENSORS_FILE, base)
    target = Path(wanted.folder)
    require_space(target.parent, 2 * (source / TENSORS_FILE).stat().st_size)
    with building(target) as folder:
        copy = folder / ADAPTER_FOLDER
        copy.mkdir(parents=True)
        for name in (ADAPTER_CONFIG, TENSORS_FILE):
            shutil.copyfile(source / name, copy / name)
        config = read_config(copy / ADAPTER_CONFIG)
        _check_initialisation(config)
        proven = _check_provenance(source / PROVENANCE, wanted)
        remark = "" if proven else _check_name(config, wanted, base)
        adapter = read_adapter(copy, base)
        write_adapter(adapter, base, folder / ADAPTER_FILE)
        manifest = Manifest(
            name=wanted.name,
            base=wanted.base,
            base_sha256=wanted.base_sha256,
            rank=config["r"],
            alpha=config["lora_alpha"],
            scaling=adapter.scaling,
            modules=_modules(copy / TENSORS_FILE),
            origin=str(source),
            remark=remark,
            created_at=wanted.created_at,
            files={
                str(path.relative_to(folder)): sha256_of(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            },
        )
        manifest.save(folder)
    return manifest


def _modules(tensors: Path) -> list[str]:
    """The layers that are changed, by the last part of their names."""
    with safe_open(tensors, framework="numpy") as file:
        modules = {key.partition(".lora_")[0] for key in file.keys()}  # noqa: SIM118
    return sorted({module.rpartition(".")[2] for module in modules})


def _check_initialisation(config: dict[str, Any]) -> None:
    kind = str(config.get("init_lora_weights", True)).lower()
    if kind.startswith(CHANGES_BASE):
        raise JobError(
            f"the adapter was begun with init_lora_weights = {kind!r}, which changes the weights "
            "of the base: without those it is not what was learned",
            hint="save it with path_initial_model_for_weight_conversion, which makes plain LoRA",
        )


def _check_provenance(path: Path, wanted: Import) -> bool:
    """Whether an export of ours says that it is for this base; then that is what counts."""
    if not path.is_file():
        return False
    try:
        made_for = json.loads(path.read_bytes())
        name, sha256 = made_for["base"], made_for["base_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"cannot read {path}: {error}", hint="remove the file") from error
    if sha256 != wanted.base_sha256:
        raise Conflict(
            f"the adapter was made for the base {name}, whose file is another than that of "
            f"{wanted.base}",
            hint="--base names the base that it is for",
        )
    return True


def _check_name(config: dict[str, Any], wanted: Import, base: Header) -> str:
    """What is to be said of the base that PEFT has noted. It is a name or a path, and proves
    nothing: only the name of another base of ours is refused."""
    noted = config.get("base_model_name_or_path")
    if not isinstance(noted, str) or not noted or noted == wanted.base:
        return ""
    if noted in wanted.other_bases:
        raise Conflict(
            f"the adapter was made for the base {noted}, not for {wanted.base}",
            hint=f"--base {noted}",
        )
    known = {str(base.fields.get(f"general.{key}", "")).lower() for key in ("name", "basename")}
    if noted.rpartition("/")[2].lower() in known - {""}:
        return ""
    return f"it says that it was made for {noted!r}; every shape fits {wanted.base}"
