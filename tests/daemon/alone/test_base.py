"""Which base is trained, and that an unprepared one is made ready by one writer at a time."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from filelock import FileLock

from shammah.bases.registry import Ground, Registry
from shammah.errors import Conflict, UsageError
from shammah.paths import Paths
from shammah.protocol import AddBaseRequest
from shammah.records import Base
from shammah_daemon.alone.base import find, prepared
from shammah_daemon.alone.screen import Screen
from shammah_daemon.bases import Bases
from tests.tiny import base_record


class FakeBases:
    """Registers and prepares nothing real, and notes what it was asked."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.added: list[AddBaseRequest] = []
        self.prepared: list[str] = []

    def ground(self, name: str) -> Ground:
        return Ground(self._paths.base(name))

    async def add(self, request: AddBaseRequest, _progress: Any) -> Base:
        self.added.append(request)
        return replace(base_record(Path(request.path)), name=request.name or "")

    async def groundwork(self, base: Base) -> None:
        with pytest.raises(TimeoutError):  # filelock.Timeout
            FileLock(self._paths.lock, timeout=0).acquire()
        self.prepared.append(base.name)


@pytest.fixture
def registry(home: Paths, tiny_base: Path) -> Registry:
    registry = Registry(home)
    registry.save(base_record(tiny_base))
    return registry


@pytest.fixture
def bases(home: Paths) -> FakeBases:
    return FakeBases(home)


async def ready(home: Paths, registry: Registry, bases: FakeBases, wanted: str) -> Base:
    return await prepared(home, registry, cast(Bases, bases), wanted, None, Screen())


def test_a_base_is_found_by_its_name_and_by_a_copy_of_its_file(
    registry: Registry, tiny_base: Path, other_tiny_base: Path, tmp_path: Path
) -> None:
    copy = shutil.copy(tiny_base, tmp_path / "copy.gguf")
    for wanted in ("tiny", str(tiny_base), str(copy)):
        found = find(registry, wanted, None)
        assert found is not None
        assert found.name == "tiny"
    assert find(registry, str(other_tiny_base), None) is None


def test_other_weights_than_the_registered_ones_are_another_base(
    registry: Registry, tiny_base: Path, tmp_path: Path
) -> None:
    assert find(registry, str(tiny_base), str(tmp_path)) is None
    with pytest.raises(UsageError, match="without the weights"):
        find(registry, "tiny", str(tmp_path))


async def test_a_registered_base_is_prepared_while_the_home_is_held(
    home: Paths, registry: Registry, bases: FakeBases
) -> None:
    assert (await ready(home, registry, bases, "tiny")).name == "tiny"
    assert (bases.added, bases.prepared) == ([], ["tiny"])
    with FileLock(home.lock, timeout=0), pytest.raises(Conflict, match="in use by a daemon"):
        await ready(home, registry, bases, "tiny")


async def test_a_new_file_is_added_under_a_name_that_is_free(
    home: Paths, registry: Registry, bases: FakeBases, other_tiny_base: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(other_tiny_base, tmp_path / "tiny.gguf"))
    base = await ready(home, registry, bases, str(path))
    assert base.name == f"tiny-{base.sha256[:8]}"
    assert bases.prepared == [base.name]


async def test_what_is_neither_a_name_nor_a_file_is_refused(
    home: Paths, registry: Registry, bases: FakeBases
) -> None:
    with pytest.raises(UsageError, match="no base is called 'nothing'"):
        await ready(home, registry, bases, "nothing")
