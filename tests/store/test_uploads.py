"""Uploads, what is made of their lines, and what was asked of jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shammah.errors import NotFound
from shammah.records import (
    Example,
    ExampleStatus,
    JobState,
    Level,
    Message,
    Mode,
    Tuning,
)
from shammah.store.database import Store
from tests.store.filling import BASE, Clock, Filler

LINE = json.dumps("where is the quillfeather") + "\n"


def imported(question: str = "Which port?", target: str | None = "Port 7443.") -> Example:
    return Example(
        id=0, turn_id=None, feedback_id=None, status=ExampleStatus.READY if target else
        ExampleStatus.DRAFT, level=Level.MEDIUM, weight=3, messages=[Message(role="user",
        content=question)], target=target, rejected=None, note=None, created_at="",
        updated_at="", source="some.jsonl",
    )  # fmt: skip


def tuning(job_id: int, **fields: object) -> Tuning:
    asked = Tuning(
        job_id=job_id, upload_id="file-1", model="base", suffix=None, metadata=None,
        request_sha256="same", idempotency_key=None, added=1, duplicates=0, held=0,
    )  # fmt: skip
    return replace(asked, **fields)  # type: ignore[arg-type]


def test_an_example_of_a_file_needs_no_turn_and_is_added_once(store: Store) -> None:
    one, other = imported(), imported("Which host?")
    stored = store.examples.add_unknown([one, other, one])
    assert [(example.id, is_new) for example, is_new in stored] == [
        (1, True),
        (2, True),
        (1, False),
    ]
    assert store.examples.get(1).turn_id is None
    store.examples.set_target(1, "Port 80.")
    assert store.examples.add_unknown([one])[0][1]  # says something else now
    assert not store.examples.add_unknown([imported(target="Port 80.")])[0][1]
    assert store.integrity_check() == []


def test_drafts_are_the_same_where_the_rejected_answer_is(store: Store) -> None:
    draft = imported(target=None)
    stored = store.examples.add_unknown(
        [replace(draft, rejected="a"), replace(draft, rejected="b"), replace(draft, rejected="a")]
    )
    assert [is_new for _, is_new in stored] == [True, True, False]


def test_a_line_stays_with_the_example_it_was_made_into(store: Store) -> None:
    store.uploads.add("file-1", "a.jsonl", [LINE, LINE], "digest")
    first, second = store.uploads.lines("file-1")
    [(example, is_new)] = store.take({first.id: imported()})
    assert is_new
    store.examples.set_target(example.id, "Port 80.")
    stored = store.take({first.id: imported(), second.id: imported("Which host?")})
    assert [(one.id, is_new) for one, is_new in stored] == [(example.id, False), (2, True)]
    assert [line.example_id for line in store.uploads.lines("file-1")] == [1, 2]


def test_a_line_that_was_forgotten_meanwhile_is_not_made_into_an_example(store: Store) -> None:
    store.uploads.add("file-1", "a.jsonl", [LINE], "digest")
    [line] = store.uploads.lines("file-1")
    store.uploads.cut(lambda text: "quillfeather" in text)
    assert store.take({line.id: imported()}) == []
    assert store.examples.list() == []


def test_a_file_that_lost_lines_is_not_the_same_file(store: Store) -> None:
    kept = '"é"\n'
    made = store.uploads.add("file-1", "a.jsonl", [LINE, kept, "\n"], "digest")
    assert made.size_bytes == len((LINE + kept + "\n").encode())
    assert store.uploads.same("a.jsonl", "digest") == made
    assert store.uploads.same("b.jsonl", "digest") is None
    store.uploads.cut(lambda text: "quillfeather" in text)
    assert store.uploads.same("a.jsonl", "digest") is None
    assert store.uploads.get("file-1").size_bytes == len((kept + "\n").encode())


def test_words_are_found_however_they_are_escaped_and_wherever_they_stand(store: Store) -> None:
    for number, line in enumerate([{"a": [{"b": "schöner Ort"}]}, ["other"], {"schöner Ort": 1}]):
        store.uploads.add(f"file-{number}", "a.jsonl", [json.dumps(line)], str(number))
    store.uploads.cut(lambda text: text == "schöner Ort")
    assert [len(store.uploads.lines(f"file-{n}")) for n in range(3)] == [0, 1, 1]  # keys are ours


def test_a_deleted_file_leaves_no_byte_and_its_examples(store: Store, database: Path) -> None:
    store.uploads.add("file-1", "a.jsonl", [LINE], "digest")
    [line] = store.uploads.lines("file-1")
    store.take({line.id: imported()})
    store.uploads.delete("file-1")
    store.erasure.empty_log()
    for file in database.parent.iterdir():
        assert b"quillfeather" not in file.read_bytes(), file
    assert len(store.examples.ready()) == 1
    for ask in (store.uploads.get, store.uploads.delete):
        with pytest.raises(NotFound):
            ask("file-1")


def test_a_request_is_known_while_its_job_runs_and_as_a_retry(store: Store, clock: Clock) -> None:
    job = store.jobs.create(BASE, Mode.CONSOLIDATE)
    made = store.tunings.add(tuning(job.id, idempotency_key="key"))
    assert store.tunings.repeated("same", None) == made
    assert store.tunings.repeated("other", None) is None
    store.jobs.update(job.id, state=JobState.CANCELLED)
    assert store.tunings.repeated("same", None) is None
    since = clock.now.replace(hour=11).isoformat(timespec="milliseconds")
    assert store.tunings.repeated("same", since) == made
    assert store.tunings.repeated("same", clock.now.isoformat(timespec="milliseconds")) is None
    assert store.tunings.by_key("key") == made


def test_all_jobs_are_listed_with_the_newest_that_was_asked_of_them(store: Store) -> None:
    for _ in range(3):
        store.jobs.create(BASE, Mode.CONSOLIDATE)
    store.tunings.add(tuning(2, metadata={"a": "1"}))
    newest = store.tunings.add(tuning(2, metadata={"a": "2", "b": "x"}, suffix="mine"))
    pairs = store.tunings.page(None, 10, {})
    assert [(job.id, asked) for job, asked in pairs] == [(3, None), (2, newest), (1, None)]
    assert [job.id for job, _ in store.tunings.page(3, 1, {})] == [2]
    assert [job.id for job, _ in store.tunings.page(None, 10, {"a": "2", "b": "x"})] == [2]
    assert store.tunings.page(None, 10, {"a": "1"}) == []
    store.tunings.cut(lambda text: text == "x")
    cut = store.tunings.of_job(2)
    assert cut is not None
    assert (cut.metadata, cut.suffix) == (None, None)


def test_the_events_that_tell_are_states_and_steps(store: Store) -> None:
    job = store.jobs.create(BASE, Mode.CONSOLIDATE)
    other = store.jobs.create(BASE, Mode.CONSOLIDATE)
    store.events.append(job.id, "state", {"state": "training"})
    store.events.append(job.id, "progress", {"stage": "training", "step": 1})
    store.events.append(job.id, "progress", {"stage": "merging", "fraction": 0.5})
    store.events.append(other.id, "state", {"state": "queued"})
    assert [event.id for event in store.events.telling(job.id, None, 10)] == [2, 1]
    assert [event.id for event in store.events.telling(job.id, 2, 10)] == [1]
    assert [event.id for event in store.events.telling(job.id, None, 1)] == [2]


def test_what_a_file_says_is_rejected_is_erased_as_the_users_words(
    store: Store, fill: Filler
) -> None:
    [(one, _)] = store.examples.add_unknown([replace(imported(), rejected="in the loft above")])
    later = fill.turn("later", answer="It is in the loft above, I think.")
    erased = store.erasure.erase(one.id, store.erasure.texts(one))
    assert erased.turn_ids == [later.id]
