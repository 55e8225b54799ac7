"""Promoting, rejecting, and where the pointer is."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from shammah.errors import Conflict, NotFound
from shammah.records import Active, JobState, Judgement, Mode, Verdict
from shammah.store.database import Store
from tests.store.filling import BASE, Filler


def active(store: Store) -> int:
    pointed = store.pointer.active()
    assert pointed is not None
    return pointed.version


def test_a_promotion_records_everything(store: Store, fill: Filler) -> None:
    example, version = fill.example(), fill.candidate()
    judgement = Judgement(example.id, Verdict.LEARNED, {"nll_nats": 0.1})
    job = store.promote(version, {example.id: example.content_hash}, [judgement])
    assert store.versions.get(version.number) == version
    assert store.versions.taught(version.number) == {example.id: example.content_hash}
    assert store.verdicts.of_job(version.job_id) == [judgement]
    assert store.pointer.active() == Active(BASE, version.number)
    assert (job.state, job.report) == (JobState.PROMOTED, version.report)


def test_a_promotion_that_fails_half_way_records_nothing(store: Store, fill: Filler) -> None:
    example, version = fill.example(), fill.candidate()
    unknown = Judgement(99, Verdict.LEARNED)
    with pytest.raises(sqlite3.IntegrityError):
        store.promote(version, {example.id: example.content_hash}, [unknown])
    assert store.versions.list() == []
    assert active(store) == 0
    assert store.jobs.get(version.job_id).state is JobState.QUEUED


def test_acts_inside_one_transaction_are_undone_together(store: Store, fill: Filler) -> None:
    version = fill.candidate()

    def promote_and_break() -> None:
        with store.transaction():
            store.promote(version, {}, [])
            store.events.append(version.job_id, "state", {"state": "promoted"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        promote_and_break()
    assert store.versions.list() == []
    assert store.events.after(0) == []


def test_a_rejection_keeps_the_pointer(store: Store, fill: Filler) -> None:
    example, version = fill.example(), fill.candidate()
    judgement = Judgement(example.id, Verdict.STILL_WRONG)
    job = store.reject(version.job_id, {"why": "not learned"}, [judgement])
    assert (job.state, job.report) == (JobState.REJECTED, {"why": "not learned"})
    assert active(store) == 0
    assert store.verdicts.newest(example.id) == judgement


def test_the_newest_gate_has_the_last_word(store: Store, fill: Filler) -> None:
    example = fill.example()
    for verdict in (Verdict.LEARNED, Verdict.GOT_WORSE):
        store.reject(fill.candidate().job_id, {}, [Judgement(example.id, verdict)])
    newest = store.verdicts.newest(example.id)
    assert newest is not None
    assert newest.verdict is Verdict.GOT_WORSE
    assert store.verdicts.newest(99) is None


def test_versions_are_listed_newest_first(store: Store, fill: Filler) -> None:
    versions = [fill.version() for _ in range(3)]
    assert store.versions.list() == versions[::-1]


def test_an_unknown_version_is_named(store: Store, fill: Filler) -> None:
    fill.version()
    with pytest.raises(NotFound, match="no version 7"):
        store.versions.get(7)
    with pytest.raises(NotFound, match="no version 1 of another"):
        store.pointer.move(Active("another", 1))


def test_a_version_is_immutable(store: Store, fill: Filler) -> None:
    version = fill.version()
    job = store.jobs.create(version.base, Mode.CONSOLIDATE)
    with pytest.raises(sqlite3.IntegrityError):
        store.promote(replace(version, job_id=job.id, quantization="Q8_0"), {}, [])
    assert store.versions.get(version.number) == version


def test_each_rollback_goes_one_further_back(store: Store, fill: Filler) -> None:
    for _ in range(3):
        fill.version()
    walked = []
    for _ in range(3):
        store.pointer.move(store.pointer.previous())
        walked.append(active(store))
    assert walked == [2, 1, 0]
    with pytest.raises(Conflict, match="nothing was active before"):
        store.pointer.previous()


def test_after_a_rollback_a_new_version_leads_back_to_where_it_began(
    store: Store, fill: Filler
) -> None:
    for _ in range(2):
        fill.version()
    store.pointer.move(store.pointer.previous())
    fill.version()
    assert active(store) == 3
    assert store.pointer.previous() == Active(BASE, 1)


def test_a_chosen_version_can_be_taken_back(store: Store, fill: Filler) -> None:
    for _ in range(3):
        fill.version()
    store.pointer.move(Active(BASE, 1))
    assert store.pointer.previous() == Active(BASE, 3)


def test_pointing_to_the_active_version_changes_nothing(store: Store, fill: Filler) -> None:
    fill.version()
    store.pointer.move(Active(BASE, 1))
    assert store.pointer.previous() == Active(BASE, 0)


def test_another_base_is_pointed_to_and_back(store: Store) -> None:
    store.pointer.move(Active("qwen", 0))
    assert store.pointer.previous() == Active(BASE, 0)
