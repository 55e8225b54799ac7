"""Files of examples through the real daemon and the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shammah.client import Client
from shammah.errors import UsageError
from shammah.protocol import ImportReceipt
from shammah.records import ExampleStatus, Level
from tests.asking import answered
from tests.running import TINY_LESSON, Daemon, serving_tiny

THRESHOLD = 4
SETTINGS = TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(THRESHOLD)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("importing"), tiny_ground, SETTINGS) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """One for all tests; each begins without examples that count."""
    yield shared
    with shared.client as client:
        for job in client.jobs():
            if not job.state.is_final:
                client.cancel_job(job.id)
        for example in client.examples():
            client.forget(example.id)


def chat(question: str, answer: str, **more: Any) -> str:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": said, **more}) + "\n"


def added(receipt: ImportReceipt) -> tuple[int, int, int, int]:
    return receipt.added, receipt.held, receipt.duplicates, len(receipt.refused)


def test_every_line_goes_the_way_of_all_examples(client: Client) -> None:
    lines = (
        chat("which port", "Port 7443.", level="critical"),
        chat("which port", "Port 7443."),
        chat("which is the key", "It is AKIAIOSFODNN7EXAMPLE."),
        "nonsense\n",
        chat("Which port?", "Port 80."),
    )
    receipt = client.import_examples("".join(lines), "mine.jsonl")
    assert added(receipt) == (3, 1, 1, 1)
    assert [(refused.line, "not JSON" in refused.problem) for refused in receipt.refused] == [
        (4, True)
    ]
    assert "Added 3 examples from mine.jsonl. 1 may hold a secret" in receipt.message
    assert f"{THRESHOLD - 2} more examples until the next lesson" in receipt.message
    assert {item.kind for item in client.inbox()} == {"secret", "contradiction"}
    assert client.status().inbox == {"secret": 1, "contradiction": 1}
    assert {one.source for one in client.examples()} == {"mine.jsonl"}
    again = client.import_examples("".join(lines), "again.jsonl")
    assert added(again) == (0, 0, 4, 1)


def test_the_threshold_holds_as_for_feedback(client: Client) -> None:
    few = [chat(f"question number {n}", f"answer {n}") for n in range(THRESHOLD - 1)]
    receipt = client.import_examples("".join(few), "few.jsonl")
    assert (receipt.job_id, receipt.missing) == (None, 1)
    receipt = client.import_examples(chat("one more", "is enough"), "stdin")
    assert receipt.job_id is not None
    assert f"The lesson starts now (job {receipt.job_id})" in receipt.message
    assert not client.job(receipt.job_id).state.is_final
    client.cancel_job(receipt.job_id)


def test_a_line_that_does_not_fit_the_context_is_refused(client: Client) -> None:
    receipt = client.import_examples(chat("long", "word " * 5000), "long.jsonl")
    assert added(receipt) == (0, 0, 0, 1)
    assert "the context has room for" in receipt.refused[0].problem


def test_a_file_without_a_line_is_refused(client: Client) -> None:
    with pytest.raises(UsageError, match="no example in it"):
        client.import_examples("\n \n", "empty.jsonl")


def test_what_is_exported_is_imported_as_it_was(
    client: Client, daemon: Daemon, tmp_path: Path
) -> None:
    first = client.feedback(Level.CRITICAL, answered(client).id, "a note", "Port 7443.")
    client.feedback(Level.MEDIUM, answered(client, "another question").id)
    client.import_examples(
        chat("which is the key", "It is AKIAIOSFODNN7EXAMPLE.", weight=7), "mine.jsonl"
    )
    before = client.examples()
    assert {one.status for one in before} == {
        ExampleStatus.READY, ExampleStatus.DRAFT, ExampleStatus.HELD,
    }  # fmt: skip
    file = tmp_path / "out.jsonl"
    assert shammah(daemon, "examples", "export", str(file)).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert shammah(daemon, "examples", "export", "-").stdout == file.read_text()
    for one in before:
        client.forget(one.id)
    assert client.examples() == []

    done = shammah(daemon, "examples", "import", "-", "--json", stdin=file.read_text())
    assert done.returncode == 0, done.stderr
    receipt = ImportReceipt.model_validate_json(done.stdout)
    assert added(receipt) == (3, 1, 0, 0)
    assert (receipt.source, receipt.drafts) == ("stdin", 1)
    kept = {"level", "weight", "status", "messages", "target", "rejected", "note"}
    assert [one.model_dump(include=kept) for one in client.examples()] == [
        one.model_dump(include=kept) for one in before
    ]
    again = client.why(answered(client).id)  # an answer is no example's any more
    assert again.version == 0
    assert client.example(first.example_id).status is ExampleStatus.FORGOTTEN


def test_the_command_names_refused_lines_and_fails(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(chat("a question", "an answer") + "{}\n")
    done = shammah(daemon, "examples", "import", str(file))
    assert done.returncode == 1
    assert "Added 1 example from some.jsonl." in done.stdout
    assert done.stderr.startswith("line 2: messages: Field required")
    missing = shammah(daemon, "examples", "import", str(tmp_path / "none"))
    assert missing.returncode == 2
    assert "cannot read" in missing.stderr


def shammah(daemon: Daemon, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shammah.cli", *arguments],
        input=stdin,
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
