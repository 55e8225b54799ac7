"""Bases are checked before they are loaded: what the machine cannot hold is refused by name."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from gguf import GGUFWriter

from shammah.bases import embedded
from shammah.bases.registry import Registry
from shammah.config import EngineConfig
from shammah.errors import BaseModelError, Conflict, ShammahError, StorageError, UsageError
from shammah.paths import Paths
from shammah.protocol import AddBaseRequest
from shammah.records import Base
from shammah_daemon.bases import Bases
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.stages import Stages


@pytest.fixture
def bases(home: Paths) -> Iterator[Bases]:
    courtesy = Courtesy()
    yield Bases(home, Registry(home), EngineConfig(), Stages(courtesy, home.logs), courtesy)
    assert list(home.bases.iterdir()) == []  # a refused base leaves nothing behind


async def refusal(bases: Bases, path: Path, weights: Path | None = None) -> ShammahError:
    request = AddBaseRequest(path=str(path), name="new", weights=str(weights) if weights else None)
    with pytest.raises(ShammahError) as raised:
        await bases.add(request)
    assert raised.value.hint
    return raised.value


async def test_a_file_larger_than_memory_is_refused(
    bases: Bases, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1_000_000))
    error = await refusal(bases, tiny_base)
    assert isinstance(error, BaseModelError)
    assert f"{tiny_base.name} takes" in error.message


async def test_a_model_that_memory_could_serve_but_not_teach_is_refused(
    bases: Bases, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = tiny_base.stat().st_size + 1000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=total))
    error = await refusal(bases, tiny_base)
    assert isinstance(error, BaseModelError)
    assert "teaching it takes" in error.message


async def test_a_disk_without_room_is_refused(
    bases: Bases, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1_000_000))
    error = await refusal(bases, tiny_base)
    assert isinstance(error, StorageError)
    assert "of disk" in error.message


async def test_a_mixture_of_experts_of_a_known_architecture_is_refused(
    bases: Bases, tmp_path: Path
) -> None:
    path = tmp_path / "mixture.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_tensor("blk.0.ffn_gate_exps.weight", np.zeros((2, 4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    error = await refusal(bases, path)
    assert "mixture of experts" in error.message


async def test_weights_that_are_no_model_folder_are_refused(
    bases: Bases, tiny_base: Path, tmp_path: Path
) -> None:
    error = await refusal(bases, tiny_base, weights=tmp_path)
    assert isinstance(error, UsageError)
    assert "config.json" in error.message


async def test_without_its_package_the_embedded_base_is_refused(
    bases: Bases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(BaseModelError, match="not installed") as raised:
        await bases.ensure_embedded()
    assert "pip install" in raised.value.hint


async def test_a_name_that_is_taken_is_refused(home: Paths, tiny_base: Path) -> None:
    courtesy = Courtesy()
    bases = Bases(home, Registry(home), EngineConfig(), Stages(courtesy, home.logs), courtesy)
    (home.base("new")).mkdir()
    (home.base("new") / "base.json").touch()
    with pytest.raises(Conflict, match="'new' already"):
        await bases.add(AddBaseRequest(path=str(tiny_base), name="new"))


@pytest.mark.parametrize("same", [True, False])
async def test_the_embedded_model_is_found_where_its_package_lies_now(
    home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """As after a restore on another machine; another file is not taken for it."""
    registry, courtesy = Registry(home), Courtesy()
    package = tmp_path / "site-packages" / embedded.PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model.gguf").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(package.parent))
    registry.save(
        Base(
            name=embedded.NAME, gguf="/gone/model.gguf", architecture="llama", parameters=1,
            sha256=sha256(b"weights" if same else b"others").hexdigest(), size_bytes=7,
            quantization="Q8_0", context_tokens=8, template="", bos_token="", eos_token="",
        )
    )  # fmt: skip
    stages = Stages(courtesy, home.logs)
    await Bases(home, registry, EngineConfig(), stages, courtesy).find_moved()
    found = registry.get(embedded.NAME).gguf
    assert found == (str(package / "model.gguf") if same else "/gone/model.gguf")


class Laying(Bases):
    """Lays ground for as long as it is let."""

    async def _lay_ground(self, base: Base) -> None:
        await asyncio.Event().wait()


async def test_a_job_that_stops_ends_the_groundwork_that_it_waits_for(home: Paths) -> None:
    base = Base("new", "n.gguf", "", 1, "llama", 1, "Q8_0", 8, "", "", "")
    courtesy = Courtesy()
    bases = Laying(home, Registry(home), EngineConfig(), Stages(courtesy, home.logs), courtesy)
    job = asyncio.create_task(bases.groundwork(base))
    while bases.prepared(base.name)[0] != "preparing":
        await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert bases.prepared(base.name) == ("no", None)
