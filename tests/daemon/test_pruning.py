"""Which versions keep their files, and how much disk is taken by what."""

from __future__ import annotations

import io
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.config import Config, LearningConfig
from shammah.errors import NotFound
from shammah.files import sha256_of
from shammah.paths import Paths
from shammah.records import Active, Base, Mode, Version
from shammah.store.database import Store
from shammah_daemon import disk, restore
from shammah_daemon.__main__ import build
from shammah_daemon.backup import Backups
from shammah_daemon.database import Database
from shammah_daemon.pruning import kept_versions
from shammah_daemon.servable import servable
from tests.running import home_in


def version(number: int, held: int = 1, kl: float = 0.05, base: str = "tiny") -> Version:
    verdicts = [{"verdict": "learned"}] * held + [{"verdict": "still_wrong"}]
    report = {"verdicts": verdicts, "kl_mean": kl}
    return Version(number, base, number, "Q8_0", "model-Q8_0.gguf", "", 1, "", {}, report)


def test_the_newest_the_best_and_what_is_needed_stay() -> None:
    found = [version(number) for number in range(1, 8)]
    found[1] = version(2, held=9)
    kept = kept_versions(found, newest=2, needed={4})
    assert kept == {2: "best", 4: "active or where a rollback leads", 6: "newest", 7: "newest"}


def test_of_those_that_hold_as_much_the_one_nearest_to_its_base_is_best() -> None:
    found = [version(1, kl=0.06), version(2, kl=0.01), version(3, kl=0.03)]
    assert kept_versions(found, newest=0, needed=()) == {2: "best"}


def test_each_base_keeps_its_own() -> None:
    found = [version(1), version(2), version(3, base="other"), version(4, base="other")]
    assert set(kept_versions(found, newest=1, needed=())) == {2, 4}


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 1), st.sampled_from("ab")), min_size=1, max_size=9
    ),
    st.integers(0, 5),
    st.sets(st.integers(1, 9)),
)
def test_never_fewer_than_asked_and_never_without_what_is_needed(
    drawn: list[tuple[int, float, str]], newest: int, needed: set[int]
) -> None:
    found = [version(n, held, kl, base) for n, (held, kl, base) in enumerate(drawn, start=1)]
    kept = kept_versions(found, newest, needed)
    assert needed & {one.number for one in found} <= kept.keys()
    for base in {one.base for one in found}:
        numbers = sorted(one.number for one in found if one.base == base)
        assert set(numbers[len(numbers) - newest :] if newest else []) <= kept.keys()
        assert any(number in kept for number in numbers)


def test_a_file_with_two_names_counts_once_and_for_its_version(home: Paths) -> None:
    job, made = home.job(1), home.version(1)
    for folder in (job, made):
        folder.mkdir()
    (job / "model.gguf").write_bytes(bytes(1 << 20))
    (job / "rows.json").write_bytes(bytes(1 << 16))
    os.link(job / "model.gguf", made / "model.gguf")
    (home.bases / "base.json").write_bytes(bytes(1 << 12))
    found = disk.measure(home)
    assert found.by_version == {1: 1 << 20}
    assert (found.versions_bytes, found.jobs_bytes) == (1 << 20, 1 << 16)
    assert found.bases_bytes == 1 << 12
    assert replace(found, free_bytes=0, by_version={}) == disk.Disk(
        0, 1 << 12, 1 << 16, 1 << 20, 0, 0, 0, {}
    )


def made(home: Paths, store: Store, number: int) -> None:
    """A version with a file, and its place in the pointer's history."""
    job = store.jobs.create("tiny", Mode.CONSOLIDATE)
    home.version(number).mkdir()
    gguf = home.version(number) / "model-Q8_0.gguf"
    gguf.write_bytes(bytes(1 << 16))
    store.versions.add(replace(version(number), job_id=job.id, sha256=sha256_of(gguf)), taught={})
    store.pointer.move(Active("tiny", number))


async def test_a_pruned_version_stays_in_the_list_and_says_that_it_is_gone(
    home: Paths, store: Store
) -> None:
    store.pointer.move(Active("tiny", 0))
    for number in range(1, 6):
        made(home, store, number)
    services = build(home, Config(), store)
    planned = await services.pruning.plan(keep=1)
    assert planned == await services.pruning.prune(keep=1)
    assert planned.pruned == [1, 2, 3]
    assert planned.freed_bytes == 3 << 16
    assert planned.kept.keys() == {4, 5}
    assert sorted(folder.name for folder in home.versions.iterdir()) == ["4", "5"]
    assert [one.number for one in store.versions.list() if one.pruned_at] == [3, 2, 1]
    assert store.pointer.previous() == Active("tiny", 4)
    with pytest.raises(NotFound, match=r"version 2 was pruned on \d{4}-\d\d-\d\d"):
        servable(home, toy_base(), store.versions.get(2))
    assert (await services.pruning.prune(keep=1)).pruned == []


async def test_after_a_job_as_many_are_kept_as_is_set(home: Paths, store: Store) -> None:
    for number in range(1, 5):
        made(home, store, number)
    keeps_all = Config(learning=LearningConfig(keep_versions=0))
    await build(home, keeps_all, store).pruning.after_job()
    assert not [one for one in store.versions.list() if one.pruned_at]
    keeps_two = Config(learning=LearningConfig(keep_versions=2))
    await build(home, keeps_two, store).pruning.after_job()
    assert [one.number for one in store.versions.list() if not one.pruned_at] == [4, 3]


async def test_a_backup_with_a_pruned_version_can_be_restored(
    home: Paths, store: Store, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        made(home, store, number)
    await build(home, Config(), store).pruning.prune(keep=1)
    home.config_file.touch()
    backup = await Backups(home, Database(store)).make(models=True)
    data = b"".join(backup.pieces)
    other = home_in(tmp_path / "other")
    restore.restore(other, io.BytesIO(data), len(data), force=False)
    with closing(Store.open(other.database)) as restored:
        assert [bool(one.pruned_at) for one in restored.versions.list()] == [False, False, True]


def toy_base() -> Base:
    return Base("tiny", "tiny.gguf", "", 1, "llama", 1, "Q8_0", 512, "", "", "")
