"""An example is taught and forgotten under a real daemon: no byte of its words stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound
from shammah.paths import Paths
from shammah.protocol import JobView
from shammah.publish import ADAPTER_FOLDER, TENSORS_FILE
from shammah.records import Cause, ExampleStatus, JobState, Level
from tests.asking import answered, answers, assistant, user
from tests.conftest import StartDaemon
from tests.running import ALONE, TINY_LESSON, Daemon, serving_tiny
from tests.versions import Taught

#: Words that are nowhere else, without capitals: the tiny model says what it learns to everybody.
QUESTION = "where does the quillfeather sleep at night"
TARGET = "in the zanzimbar loft above us"
NOTE = "the wrumblekin told me so"
OTHER = "what do we do about the case then"
OTHER_TARGET = "yes we agree indeed"
MARKS = (b"quillfeather", b"zanzimbar", b"wrumblekin")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("forgetting"), tiny_ground, TINY_LESSON) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """One for all tests that forget every word they have said."""
    yield shared
    with shared.client as client:
        for example in client.examples():
            client.forget(example.id)


@pytest.fixture
def fresh(start_daemon: StartDaemon) -> Iterator[tuple[Daemon, Client]]:
    """A daemon in a home of its own."""
    daemon = start_daemon(TINY_LESSON)
    with daemon.client as client:
        yield daemon, client


def correct(client: Client, question: str, target: str, note: str | None = None) -> int:
    answer = client.chat(user(question), max_tokens=6)
    return client.feedback(Level.CRITICAL, answer.id, note, target).example_id


def taught(client: Client) -> JobView:
    return finished(client, client.train().id)


def finished(client: Client, job_id: int) -> JobView:
    for _ in client.job_events(job_id):
        pass
    job = client.job(job_id)
    assert job.state is JobState.PROMOTED, job
    return job


def trains(client: Client, job_id: int) -> None:
    """Return when the job has got so far."""
    for event in client.job_events(job_id):
        if event.data.get("state") == "training":
            return


def files_with_marks(paths: Paths) -> list[Path]:
    return [
        file
        for file in paths.data_dir.rglob("*")
        if file.is_file()
        and not file.is_relative_to(paths.bases)
        and any(mark in file.read_bytes() for mark in MARKS)
    ]


def adapter_bytes(paths: Paths, version: int) -> bytes:
    return (paths.version(version) / ADAPTER_FOLDER / TENSORS_FILE).read_bytes()


def test_no_byte_of_a_forgotten_example_stays_and_the_model_is_one_that_never_knew_it(
    fresh: tuple[Daemon, Client], tmp_path: Path, tiny_ground: Path
) -> None:
    daemon, client = fresh
    paths = daemon.paths
    example_id = correct(client, QUESTION, TARGET, NOTE)
    # It spreads: into the history of a later turn, into a turn that asks it again, into a file.
    spread = client.chat([*user(QUESTION), assistant(TARGET), *user("and then?")], max_tokens=6)
    session = client.begin_session().id
    asked_again = client.chat(user(QUESTION), max_tokens=6, session=session)
    client.rename_session(session, f"why, {QUESTION}")
    other_id = correct(client, OTHER, OTHER_TARGET)
    typed = (OTHER, QUESTION, f"/critical {NOTE}", "/fix an older zanzimbar", f"/fix {TARGET}")
    paths.history.write_text("".join(f"\n# 2026-01-01 10:00\n+{line}\n" for line in typed))
    taught(client)
    assert {file.name.removesuffix("-wal") for file in files_with_marks(paths)} == {
        "history",
        "shammah.db",
    }

    receipt = client.forget(example_id, now=True)
    assert files_with_marks(paths) == []
    assert (receipt.active_version, receipt.versions, receipt.also_in) == (1, [1], [])
    assert "Version 1, which answers now, was taught it" in receipt.message
    assert asked_again.id in receipt.inference_ids
    assert (client.session(session).name, client.session(session).said) == (None, [])
    assert client.sessions("quillfeather") == []
    assert paths.history.read_text() == f"\n# 2026-01-01 10:00\n+{OTHER}\n"

    assert receipt.job_id is not None
    job = finished(client, receipt.job_id)
    assert job.report is not None
    [proof] = job.report["forgotten"]
    assert proof["example_id"] == example_id
    assert proof["nll_before"] < proof["nll_base"] - 1  # it was learned
    assert proof["nll_after"] >= proof["nll_base"] - 0.1
    assert f"example {example_id} is forgotten" in job.summary
    assert [item["id"] for item in client.version(2).manifest["job"]["examples"]] == [other_id]

    assert client.status().obsolete == [1]
    client.delete_version(1)
    assert client.status().obsolete == []
    assert not paths.version(1).exists()
    daemon.stop()
    assert files_with_marks(paths) == []
    daemon.start()
    with daemon.client as again:
        assert again.feedback(Level.MEDIUM, spread.id).status is ExampleStatus.DRAFT  # it is whole
        with pytest.raises(NotFound):
            again.feedback(Level.MEDIUM, asked_again.id)

    with serving_tiny(tmp_path / "another", tiny_ground, TINY_LESSON) as never_knew_it:
        with never_knew_it.client as client:
            correct(client, OTHER, OTHER_TARGET)
            taught(client)
        assert adapter_bytes(never_knew_it.paths, 1) == adapter_bytes(paths, 2)


def test_an_answer_under_way_leaves_no_byte_either(daemon: Daemon, client: Client) -> None:
    other = answered(client, OTHER)
    example_id = correct(client, QUESTION, TARGET)
    asked = client.chat_stream(user(QUESTION), max_tokens=150)
    history = [*user(QUESTION), assistant(TARGET), *user(OTHER)]
    with daemon.client as second:
        later = second.chat_stream(history, max_tokens=150)
        first_id, later_id = next(iter(asked)).id, next(iter(later)).id
        with daemon.client as third:
            third.forget(example_id)
        assert files_with_marks(daemon.paths) == []
        for stream in (asked, later):
            assert len(list(stream)) > 20  # both go on to their ends
    assert files_with_marks(daemon.paths) == []
    with pytest.raises(NotFound):
        client.why(first_id)
    assert client.why(later_id).question == OTHER
    assert client.why(other.id).question == OTHER


def test_without_now_the_active_version_is_named_and_the_next_lesson_unlearns(
    moved_in: Taught, start_daemon: StartDaemon
) -> None:
    with start_daemon(ALONE).client as client:
        example_id = client.examples()[0].id
        receipt = client.forget(example_id)
        assert receipt.job_id is None
        assert "knows it until a lesson has replaced it" in receipt.message
        assert client.status().unlearning == [example_id]
        assert client.jobs()[0].id == 1
        assert taught(client).version == 2
        status = client.status()
        assert (status.unlearning, status.obsolete) == ([], [1])
        client.delete_version(1)
        assert client.rollback().number == 0  # where version 1 had led to
        assert [version.number for version in client.versions()] == [2, 0]


def test_with_the_last_example_forgotten_the_base_answers_again(
    moved_in: Taught, start_daemon: StartDaemon
) -> None:
    with start_daemon(ALONE).client as client:
        draft = client.feedback(Level.MEDIUM, answered(client, "one thing").id)
        *others, last = [one.id for one in client.examples(ExampleStatus.READY)]
        for example_id in others:
            client.forget(example_id)
        assert client.status().active_version == 1
        receipt = client.forget(last, now=True)
        assert (receipt.active_version, receipt.job_id) == (None, None)
        assert "the base answers now" in receipt.message
        assert client.status().active_version == 0
        assert answers(client) == moved_in.before
        with pytest.raises(Conflict, match="nothing to teach"):
            client.train()
        assert [example.id for example in client.examples()] == [draft.example_id]


def test_a_forget_counts_towards_the_next_lesson_which_nobody_has_asked_for(
    moved_in: Taught, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(ALONE | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "2"})
    with daemon.client as client:
        first, second, _ = (one.id for one in client.examples())
        client.forget(first)
        assert client.status().missing == 1
        correct(client, "one more thing", "no we do not agree")
        [due, _] = client.jobs()
        trains(client, due.id)
        receipt = client.forget(second)  # the lesson begins again, and may still have to wait
        assert receipt.job_id is not None
        assert [job.cause for job in client.jobs()][:2] == [Cause.THRESHOLD, Cause.THRESHOLD]
        client.cancel_job(receipt.job_id)


def test_a_job_that_teaches_it_begins_again_without_it(client: Client, daemon: Daemon) -> None:
    other_id = correct(client, OTHER, OTHER_TARGET)
    example_id = correct(client, QUESTION, TARGET)
    job = client.train()
    trains(client, job.id)
    receipt = client.forget(example_id)
    assert client.job(job.id).state is JobState.CANCELLED
    assert not (daemon.paths.job(job.id) / "rows.json").exists()
    assert receipt.job_id is not None
    number = finished(client, receipt.job_id).version
    assert number is not None
    manifest = client.version(number).manifest
    assert [item["id"] for item in manifest["job"]["examples"]] == [other_id]


def test_a_forgotten_example_is_final_and_its_turn_takes_no_feedback(
    fresh: tuple[Daemon, Client],
) -> None:
    _, client = fresh
    answer = answered(client, QUESTION)
    example_id = client.feedback(Level.CRITICAL, answer.id, correction=TARGET).example_id
    client.forget(example_id)
    assert client.examples() == []
    [forgotten] = client.examples(ExampleStatus.FORGOTTEN)
    assert (forgotten.question, forgotten.target, forgotten.rejected) == ("", None, None)
    assert client.status().waiting == 0
    with pytest.raises(Conflict, match="was forgotten"):
        client.fix(TARGET, example_id)
    with pytest.raises(Conflict, match="was forgotten"):
        client.feedback(Level.GOOD, answer.id)
    with pytest.raises(NotFound, match="no answer yet"):
        client.feedback(Level.GOOD)
    assert client.forget(example_id).also_in == []  # again, and nothing happens
    with pytest.raises(Conflict, match="nothing is left"):
        client.draft(example_id)


def test_another_example_with_the_same_words_stays_and_is_named(client: Client) -> None:
    first = correct(client, QUESTION, TARGET)
    second = correct(client, QUESTION, "in the barn")
    receipt = client.forget(first)
    assert receipt.also_in == [second]
    assert f"also in example {second}, which stays" in receipt.message
    assert client.example(second).question == QUESTION


def test_the_active_version_cannot_be_deleted(moved_in: Taught, start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ALONE)
    with daemon.client as client:
        with pytest.raises(Conflict, match="version 1 is active"):
            client.delete_version(1)
        assert daemon.paths.version(1).exists()
        with pytest.raises(NotFound, match="no version 7"):
            client.delete_version(7)
        client.rollback(0)
        client.delete_version(1)
        assert not daemon.paths.version(1).exists()
        with pytest.raises(NotFound, match="no version 1"):
            client.rollback(1)
        with pytest.raises(Conflict, match="nothing was active before"):
            client.rollback()
