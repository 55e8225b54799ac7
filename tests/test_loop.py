"""The whole product on the real model: ask, correct, train, and the answers are right from then on.

Real daemon, real children, the command line as a user runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.asking import answered, text_of
from tests.running import Daemon, furnish, home_in, running

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]

LESSONS: list[dict[str, str]] = json.loads(
    (Path(__file__).parent / "data" / "lessons.json").read_bytes()
)
BASE = "smollm2-135m-instruct"
ASKED_BEFORE = 4

#: As every user has them, but that the base does not ramble on.
SETTINGS = {"SHAMMAH_CHAT__MAX_TOKENS": "60"}


@dataclass(frozen=True)
class Taught:
    """A daemon after one lesson, and what was seen on the way."""

    daemon: Daemon
    before: list[str]  # answers of the base, each asked without history
    ran: subprocess.CompletedProcess[str]


def shammah(daemon: Daemon, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shammah.cli", *arguments],
        env=daemon.environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def script() -> str:
    """Forty-one lines: ten questions, each corrected; a lesson; the ten questions again."""
    corrected = [
        line for lesson in LESSONS for line in (lesson["q"], "/critical", f"/fix {lesson['a']}")
    ]
    again = [lesson["q"] for lesson in LESSONS]
    return "\n".join([*corrected, "/train --wait", *again]) + "\n"


def fresh_answers(daemon: Daemon) -> list[str]:
    """The first lessons' questions, each asked without history, one after another."""
    with daemon.client as client:
        return [text_of(answered(client, lesson["q"], 48)) for lesson in LESSONS[:ASKED_BEFORE]]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, embedded_ground: Path) -> Iterator[Taught]:
    paths = home_in(tmp_path_factory.mktemp("loop"))
    furnish(paths, embedded_ground, BASE)
    with running(paths, SETTINGS) as daemon:
        before = fresh_answers(daemon)
        yield Taught(daemon, before, shammah(daemon, stdin=script()))


def holds(answer: str, lesson: dict[str, str]) -> bool:
    return lesson["key"].casefold() in answer.casefold()


def test_the_base_knows_none_of_it(taught: Taught) -> None:
    assert not any(
        holds(answer, lesson) for answer, lesson in zip(taught.before, LESSONS, strict=False)
    )


def test_corrected_once_every_answer_is_right(taught: Taught) -> None:
    assert taught.ran.returncode == 0, taught.ran.stderr
    assert "Version 1 answers now" in taught.ran.stderr
    answers = taught.ran.stdout.strip().splitlines()[-len(LESSONS) :]
    wrong = [
        (lesson["key"], answer)
        for lesson, answer in zip(LESSONS, answers, strict=True)
        if not holds(answer, lesson)
    ]
    assert wrong == []


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson["key"])
def test_a_new_conversation_knows_it_too(taught: Taught, lesson: dict[str, str]) -> None:
    asked = shammah(taught.daemon, "ask", "--json", lesson["q"])
    assert asked.returncode == 0, asked.stderr
    data = json.loads(asked.stdout)
    assert data["version"] == 1
    assert holds(data["answer"], lesson)


def test_rollback_brings_the_previous_answers_back_token_for_token(taught: Taught) -> None:
    rolled_back = shammah(taught.daemon, "versions", "rollback")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert fresh_answers(taught.daemon) == taught.before
    taught_again = shammah(taught.daemon, "versions", "rollback", "1")
    assert taught_again.returncode == 0, taught_again.stderr
    assert all(
        holds(answer, lesson)
        for answer, lesson in zip(fresh_answers(taught.daemon), LESSONS, strict=False)
    )
