"""The publishing stages as the daemon runs them: real processes, JSON lines, signals, limits."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shammah.bases.gguf_header import read_header
from shammah.stage import STOPPED
from tests.publish.adapters import random_tensors, write_peft
from tests.tiny import embedded_gguf

Finished = tuple[int, list[dict[str, Any]]]


@pytest.fixture
def job(tiny_base: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    write_peft(folder / "adapter", random_tensors(read_header(tiny_base)))
    return folder


def run_stage(*arguments: object, before: Callable[[], None] | None = None) -> Finished:
    """Exit status and the lines of stdout, each of which has to be JSON."""
    done = subprocess.run(command(*arguments), capture_output=True, preexec_fn=before, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "shammah.publish", *map(str, arguments)]


def test_an_adapter_becomes_a_servable_file(tiny_base: Path, job: Path) -> None:
    status, lines = run_stage("merge", job, tiny_base)
    assert (status, lines[-1]["kind"]) == (0, "result")
    assert lines[-1]["path"] == str(job / "merged-F16.gguf")
    assert lines[-1]["row_sizes"] == [64, 160]
    status, lines = run_stage("quantize", job, "Q8_0")
    assert (status, lines[-1]["kind"]) == (0, "result")
    served = (job / "model-Q8_0.gguf").read_bytes()
    assert lines[-1]["size_bytes"] == len(served)
    assert lines[-1]["sha256"] == hashlib.sha256(served).hexdigest()
    assert lines[-1]["kept"] == {}
    assert {line["stage"] for line in lines[1:-1]} == {"quantizing"}
    assert lines[0] == {"kind": "started"}
    assert sorted(path.name for path in job.iterdir()) == [
        "adapter", "adapter.gguf", "merged-F16.gguf", "model-Q8_0.gguf",
    ]  # fmt: skip


def test_what_an_earlier_version_of_the_program_trained_left_no_sketch(
    tiny_base: Path, job: Path
) -> None:
    run_stage("merge", job, tiny_base)
    status, lines = run_stage("quantize", job, "Q8_0", "--against", tiny_base, job)
    assert (status, lines[-1]["kept"]) == (0, {})


@pytest.mark.parametrize("scale", ["0", "-1", "nan"])
def test_a_scale_without_sense_is_refused(scale: str, tiny_base: Path, job: Path) -> None:
    status, lines = run_stage("merge", job, tiny_base, f"--scale={scale}")
    assert (status, lines[-1]["type"]) == (1, "UsageError")


def test_a_file_that_is_no_gguf_is_named(job: Path, tmp_path: Path) -> None:
    other = tmp_path / "notes.gguf"
    other.write_text("not a model")
    status, lines = run_stage("merge", job, other)
    assert status == 1
    assert lines[-1]["type"] == "BaseModelError"
    assert "notes.gguf is not a GGUF file" in lines[-1]["message"]
    assert [path.name for path in job.iterdir()] == ["adapter"]


@pytest.mark.parametrize(
    ("stage", "output", "error"),
    [
        ("merge", "merged-F16.gguf", "StorageError"),
        ("quantize", "model-Q8_0.gguf", "JobError"),
    ],
)
def test_a_file_that_cannot_grow_leaves_nothing_behind(
    stage: str, output: str, error: str, tiny_base: Path, job: Path
) -> None:
    if stage == "quantize":
        run_stage("merge", job, tiny_base)

    def limit_file_size() -> None:
        """As near to a disk that fills up while it is written to as a test without root comes."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    status, lines = run_stage(
        stage, job, tiny_base if stage == "merge" else "Q8_0", before=limit_file_size
    )
    assert (status, lines[-1]["type"]) == (1, error)
    assert not list(job.glob(output + "*"))


@pytest.mark.model
@pytest.mark.parametrize(
    ("stage", "output"), [("merge", "merged-F16.gguf"), ("quantize", "model-Q8_0.gguf")]
)
def test_sigterm_ends_a_stage_soon_and_leaves_nothing_behind(
    stage: str, output: str, tmp_path: Path
) -> None:
    base, job = embedded_gguf(), tmp_path
    write_peft(job / "adapter", random_tensors(read_header(base)))
    if stage == "quantize":
        run_stage("merge", job, base)
    stage_command = command(stage, job, base if stage == "merge" else "Q8_0")
    with subprocess.Popen(stage_command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has started
        child.stdout.readline()  # the first progress: the file is being written
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=10) == STOPPED
    assert not list(job.glob(output + "*"))
