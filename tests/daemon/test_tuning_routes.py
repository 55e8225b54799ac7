"""OpenAI's fine-tuning through the real `openai` SDK, against a real daemon."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from shammah.client import Client
from shammah.records import Level
from tests.running import TINY, TINY_LESSON, Daemon, furnish, home_in

OTHER = "what do we do about the case then"
OTHER_TARGET = "yes we agree indeed"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    """One for all tests: each looks at its own, and leaves no job that runs."""
    home = home_in(tmp_path_factory.mktemp("tuning"))
    furnish(home, tiny_ground, TINY)
    daemon = Daemon(home, TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "1000"})
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
def sdk(daemon: Daemon) -> Iterator[OpenAI]:
    transport = httpx2.HTTPTransport(uds=str(daemon.paths.socket))
    with OpenAI(
        base_url="http://shammah/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    ) as sdk:
        yield sdk


def chat(question: str, answer: str, **more: Any) -> str:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": said, **more}) + "\n"


def upload(sdk: OpenAI, *lines: str, name: str = "train.jsonl") -> str:
    data = "".join(lines).encode()
    return sdk.files.create(file=(name, data), purpose="fine-tune").id


def ended(sdk: OpenAI, client: Client, name: str) -> FineTuningJob:
    for _ in client.job_events(int(name.removeprefix("ftjob-"))):
        pass
    return sdk.fine_tuning.jobs.retrieve(name)


def test_a_file_is_kept_listed_given_back_and_deleted(
    sdk: OpenAI, daemon: Daemon, client: Client
) -> None:
    before = client.examples()
    lines = chat("what does a snorkwaddle eat", "twigs"), "\n", chat("one", "more").strip()
    first = upload(sdk, *lines)
    second = upload(sdk, chat("one", "two"), name="../../escape.jsonl")
    assert upload(sdk, *lines) == first  # sent again, it is not made twice
    found = sdk.files.retrieve(first)
    assert (found.filename, found.purpose, found.status) == (
        "train.jsonl",
        "fine-tune",
        "processed",
    )
    assert found.bytes == len("".join(lines))
    assert sdk.files.wait_for_processing(first).id == first
    assert sdk.files.content(first).read() == "".join(lines).encode()
    assert [file.id for file in sdk.files.list()][:2] == [second, first]
    assert [file.id for file in sdk.files.list(limit=1)][:2] == [second, first]  # page by page
    assert [file.id for file in sdk.files.list(order="asc", after=first)] == [second]
    assert list(sdk.files.list(purpose="batch")) == []
    assert sdk.files.retrieve(second).filename == "escape.jsonl"
    assert client.examples() == before  # a file alone teaches nothing

    assert sdk.files.delete(first).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.content(first)
    assert not [file for file in files_of(daemon) if b"snorkwaddle" in file.read_bytes()]


def files_of(daemon: Daemon) -> list[Any]:
    home = daemon.paths
    return [
        file
        for file in home.data_dir.rglob("*")
        if file.is_file() and not file.is_relative_to(home.bases)
    ]


def test_a_forgotten_example_leaves_no_byte_in_any_file(
    sdk: OpenAI, daemon: Daemon, client: Client
) -> None:
    target = "in the zanzimbar loft above us"
    preference = {
        "input": {"messages": [{"role": "user", "content": "where is the quillfeather, é?"}]},
        "preferred_output": [{"role": "assistant", "content": target}],
        "non_preferred_output": [{"role": "assistant", "content": "under the wrumblekin"}],
    }
    escaped, stays = json.dumps(preference) + "\n", chat("which one stays", "this one")
    assert "\\u00e9" in escaped
    named = upload(sdk, escaped, stays, name=f"{target}.jsonl")
    repeats = upload(sdk, stays, chat("and?", f"As said: {target}"))
    job = sdk.fine_tuning.jobs.create(
        model="base",
        training_file=named,
        suffix=target[:64],
        metadata={"said": target},
        extra_headers={"Idempotency-Key": "zanzimbar"},
    )
    taught = next(one for one in client.examples() if one.target == target)
    assert (taught.rejected, taught.source) == ("under the wrumblekin", f"{target}.jsonl")
    assert client.forget(taught.id).inference_ids == []
    for mark in (b"quillfeather", b"zanzimbar", b"wrumblekin"):
        assert not [file for file in files_of(daemon) if mark in file.read_bytes()]
    for file in (named, repeats):
        assert sdk.files.content(file).text == stays
        assert sdk.files.retrieve(file).bytes == len(stays)
    assert sdk.fine_tuning.jobs.retrieve(job.id).metadata is None
    with closing(sqlite3.connect(daemon.paths.database)) as database:
        hashes = database.execute(
            "SELECT request_sha256 FROM tunings WHERE job_id = ?",
            [int(job.id.removeprefix("ftjob-"))],
        ).fetchall()
        assert hashes == [("",)]  # it would tell of the words
    [running] = [one for one in client.jobs() if not one.state.is_final]  # without it
    client.cancel_job(running.id)


def test_a_request_that_is_sent_again_is_one_job(sdk: OpenAI, client: Client) -> None:
    jobs, examples = len(client.jobs()), len(client.examples())
    file = upload(sdk, chat("once more", "the same again"), name="again.jsonl")
    create = sdk.fine_tuning.jobs.create
    keyed = {"Idempotency-Key": "one"}
    first = create(model="base", training_file=file, extra_headers=keyed)
    assert create(model="base", training_file=file).id == first.id  # in flight
    sdk.fine_tuning.jobs.cancel(first.id)
    retried = {"X-Stainless-Retry-Count": "1"}
    assert create(model="base", training_file=file, extra_headers=retried).id == first.id
    assert create(model="base", training_file=file, extra_headers=keyed).id == first.id
    with pytest.raises(openai.BadRequestError, match="belongs to another request"):
        create(model="shammah", training_file=file, extra_headers=keyed)
    assert (len(client.jobs()), len(client.examples())) == (jobs + 1, examples + 1)
    anew = create(model="base", training_file=file)
    assert anew.id != first.id
    sdk.fine_tuning.jobs.cancel(anew.id)


def test_an_example_that_was_edited_is_not_added_again(sdk: OpenAI, client: Client) -> None:
    file = upload(sdk, chat("what is edited", "as the file has it"), name="edited.jsonl")
    job = sdk.fine_tuning.jobs.create(model="base", training_file=file)
    sdk.fine_tuning.jobs.cancel(job.id)
    before = client.examples()
    receipt = client.fix("as the user wants it", before[0].id)
    assert receipt.inference_id == ""
    job = sdk.fine_tuning.jobs.create(model="base", training_file=file)
    sdk.fine_tuning.jobs.cancel(job.id)
    assert [one.id for one in client.examples()] == [one.id for one in before]
    assert client.examples()[0].target == "as the user wants it"


def test_a_line_that_is_no_example_is_named_and_the_file_not_kept(sdk: OpenAI) -> None:
    before = list(sdk.files.list())
    good = chat(OTHER, OTHER_TARGET)
    bad = '{"messages": [{"role": "user", "content": "why?"}]}\n'
    with pytest.raises(openai.BadRequestError, match=r"line 2: there is no answer.*line 4: .*JSON"):
        upload(sdk, good, bad, "\n", "nonsense\n")
    with pytest.raises(openai.BadRequestError, match="no example in it"):
        upload(sdk, "\n")
    with pytest.raises(openai.BadRequestError, match="purpose 'batch'"):
        sdk.files.create(file=("b.jsonl", good.encode()), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="expires_after"):
        sdk.files.create(
            file=("b.jsonl", good.encode()),
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
    with pytest.raises(openai.BadRequestError, match=r"line 1: it takes \d+ tokens"):
        upload(sdk, chat(OTHER, "word " * 5000))
    assert list(sdk.files.list()) == before


def test_an_option_that_no_lesson_takes_is_refused_with_the_way_out(sdk: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"epochs = 0: .*greater than or equal to 1"):
        sdk.fine_tuning.jobs.create(
            model="base", training_file="file-1", hyperparameters={"n_epochs": 0}
        )


def test_auto_is_what_lessons_do(sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="file-none"):  # all else is in order
        sdk.fine_tuning.jobs.create(
            model="shammah",
            training_file="file-none",
            hyperparameters={"n_epochs": "auto"},
            method={
                "type": "supervised",
                "supervised": {"hyperparameters": {"batch_size": "auto"}},
            },
        )


@pytest.mark.parametrize("name", ["ftjob-77", "ftjob-x", "..%2F1", "ftjob-" + "9" * 40])
def test_unknown_jobs_are_not_found(sdk: OpenAI, name: str) -> None:
    jobs = sdk.fine_tuning.jobs
    for ask in (
        jobs.retrieve,
        jobs.cancel,
        jobs.pause,
        jobs.resume,
        jobs.list_events,
        jobs.checkpoints.list,
    ):
        with pytest.raises(openai.NotFoundError):
            ask(name)
    with pytest.raises(openai.NotFoundError):
        jobs.list(after="nothing")
    with pytest.raises(openai.NotFoundError):
        sdk.files.list(after="file-none")


def test_a_job_is_paused_and_resumed_however_often_it_is_said(sdk: OpenAI) -> None:
    jobs = sdk.fine_tuning.jobs
    file = upload(sdk, chat("what is paused", "this lesson"), name="paused.jsonl")
    job = jobs.create(model="base", training_file=file)
    for _ in range(2):
        assert str(jobs.pause(job.id).status) == "paused"
    assert jobs.retrieve(job.id).status == jobs.pause(job.id).status
    for _ in range(2):
        assert jobs.resume(job.id).status in ("queued", "validating_files", "running")
    jobs.cancel(job.id)
    for ask in (jobs.pause, jobs.resume):
        with pytest.raises(openai.ConflictError, match="already ended"):
            ask(job.id)


def test_checkpoints_are_those_on_disk(sdk: OpenAI, daemon: Daemon) -> None:
    file = upload(sdk, chat("one more", "the last"))
    job = sdk.fine_tuning.jobs.create(model="base", training_file=file)
    sdk.fine_tuning.jobs.cancel(job.id)
    number = int(job.id.removeprefix("ftjob-"))
    for step, nll in ((20, [1.5]), (40, [1.5, 1.25])):
        folder = daemon.paths.job(number) / "checkpoints" / str(step)
        folder.mkdir(parents=True)
        progress = {"step": step, "loss": 0.5, "held_out_nll": nll}
        (folder / "progress.json").write_text(json.dumps({"progress": progress}))
    newest, older = sdk.fine_tuning.jobs.checkpoints.list(job.id, limit=1)  # page by page
    assert (newest.id, older.id) == (f"ftckpt-{number}-40", f"ftckpt-{number}-20")
    assert (newest.step_number, newest.fine_tuning_job_id) == (40, job.id)
    assert (newest.metrics.train_loss, newest.metrics.valid_loss) == (0.5, 1.25)


def test_a_file_becomes_a_lesson_whose_version_answers(sdk: OpenAI, client: Client) -> None:
    for one in client.examples():  # of the other tests: the lesson is to be short
        client.forget(one.id)
    first = upload(sdk, chat(OTHER, OTHER_TARGET, weight=10), chat("and then", "we go"))
    queued = sdk.fine_tuning.jobs.create(
        model="shammah", training_file=first, seed=0, suffix="mine", metadata={"for": "the loft"}
    )
    assert queued.status in (
        "queued",
        "validating_files",
        "running",
    )  # it may have begun
    assert (queued.training_file, queued.model) == (first, "shammah")
    assert (queued.fine_tuned_model, queued.trained_tokens, queued.error) == (None, None, None)
    assert (queued.hyperparameters.n_epochs, queued.seed) == ("auto", 0)
    assert queued.metadata == {"for": "the loft"}
    new = client.examples()[:2]
    assert [(one.question, one.weight, one.level) for one in new] == [
        ("and then", 3, Level.MEDIUM),
        (OTHER, 10, Level.CRITICAL),
    ]

    done = ended(sdk, client, queued.id)
    assert (done.status, done.fine_tuned_model) == ("succeeded", "shammah@1"), done
    assert done.trained_tokens
    assert done.finished_at is not None
    assert done.finished_at >= done.created_at
    assert client.status().active_version == 1

    pages = sdk.fine_tuning.jobs.list_events(queued.id, limit=3)
    assert pages.has_next_page()
    events = list(pages)
    assert [event.id for event in events] == sorted(
        (event.id for event in events), key=lambda name: -int(name.split("-")[1])
    )
    states = [e.data["state"] for e in reversed(events) if e.type == "message"]  # type: ignore[index]
    assert [states[0], states[-1]] == ["queued", "promoted"]
    metrics = [event for event in events if event.type == "metrics"]
    assert metrics[0].data["step"] == metrics[0].data["total_steps"]  # type: ignore[index]
    assert "training loss=" in metrics[0].message
    assert list(sdk.fine_tuning.jobs.checkpoints.list(queued.id)) == []  # removed at the end

    # Once more, the file is known: nothing is added, and it is another lesson.
    second = sdk.fine_tuning.jobs.create(model="base", training_file=first)
    assert second.id != queued.id
    assert second.to_dict()["shammah"]["duplicates"] == 2  # type: ignore[index]
    assert [job.id for job in sdk.fine_tuning.jobs.list(limit=1)][:2] == [second.id, queued.id]
    assert [job.id for job in sdk.fine_tuning.jobs.list(metadata={"for": "the loft"})] == [
        queued.id
    ]
    assert sdk.fine_tuning.jobs.cancel(second.id).status == "cancelled"
    assert sdk.fine_tuning.jobs.cancel(second.id).status == "cancelled"  # a retry of the same
    with pytest.raises(openai.ConflictError, match="already ended"):
        sdk.fine_tuning.jobs.cancel(queued.id)
