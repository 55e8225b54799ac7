"""Which versions keep their files, and how much disk is taken by what."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shammah.paths import Paths
from shammah.records import Version
from shammah_daemon import disk
from shammah_daemon.pruning import kept_versions


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
        0, 1 << 12, 1 << 16, 1 << 20, 0, 0, {}
    )
