"""The file of lines: read whole, refused by line, put away when it was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shammah.config import LearningConfig
from shammah.errors import UsageError
from shammah.records import Level
from shammah_daemon.alone.lesson import divided
from shammah_daemon.alone.queue import (
    Lines,
    archive,
    read,
    require_whole,
    take,
    take_again,
)

PAIR = {"query": "Which port?", "response": "Port 7443."}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def lines_of(tmp_path: Path, *lines: Any, allow_secrets: bool = False) -> Lines:
    queue = take(written(tmp_path / "queue.jsonl", *lines))
    return read(queue, LearningConfig(), allow_secrets=allow_secrets)


def test_both_formats_teach_the_same(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Who leads?"}, {"role": "assistant", "content": "Ines."}]
    found = lines_of(tmp_path, {**PAIR, "weight": 10}, {"messages": said}).examples
    assert [(e.id, e.question, e.target, e.weight) for e in found] == [
        (1, "Which port?", "Port 7443.", 10), (2, "Who leads?", "Ines.", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("marks", "level", "weight", "note"),
    [
        ({}, Level.MEDIUM, 3, None),
        ({"weight": 10.0}, Level.CRITICAL, 10, None),
        ({"weight": "Critical"}, Level.CRITICAL, 10, None),
        ({"feedback": "good"}, Level.GOOD, 1, None),
        ({"weight": 5, "feedback": "good"}, Level.GOOD, 5, None),
        ({"feedback": "it named another port"}, Level.MEDIUM, 3, "it named another port"),
    ],
)
def test_weight_and_feedback_weigh_as_a_correction_does(
    tmp_path: Path, marks: dict[str, Any], level: Level, weight: int, note: str | None
) -> None:
    [found] = lines_of(tmp_path, {**PAIR, **marks}).examples
    assert (found.level, found.weight, found.note) == (level, weight, note)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"query": "Which port?", "feedback": "critical"}, "not what would be right"),
        ({"query": "Which port?", "rejected": "80"}, "not what would be right"),
        ({"query": "Which port?"}, "no response to teach"),
        ({"response": "7443"}, "query: Field required"),
        ({**PAIR, "weight": 0.5}, "weight: write a whole number"),
        ({**PAIR, "weight": 0}, "weight: "),
        ({**PAIR, "weight": "much"}, "weight: write a whole number"),
        ({**PAIR, "weight": "good", "feedback": "critical"}, "two different levels"),
        ({**PAIR, "rejected": "Port 7443."}, "the same as the one to teach"),
        ({**PAIR, "lang": "en"}, "lang: "),
        ({"messages": [{"role": "user", "content": "Which port?"}]}, "no answer to teach"),
        ({"messages": [{"role": "user", "content": "Q"}], "status": "draft"}, "a draft"),
        ({"query": "What is the password?", "response": "It is hunter2!x."}, "--allow-secrets"),
    ],
)
def test_a_line_that_cannot_be_taught_is_named_with_what_is_wrong(
    tmp_path: Path, line: Any, why: str
) -> None:
    lines = lines_of(tmp_path, PAIR, line)
    assert list(lines.refused) == [2]
    with pytest.raises(UsageError, match=r"nothing is trained") as raised:
        require_whole(lines, tmp_path / "queue.jsonl")
    assert "line 2: " in raised.value.message
    assert why in raised.value.message


def test_what_may_be_a_secret_is_trained_when_that_is_allowed(tmp_path: Path) -> None:
    line = {"query": "What is the password?", "response": "It is hunter2!x."}
    assert len(lines_of(tmp_path, line, allow_secrets=True).examples) == 1


def test_of_lines_that_say_the_same_the_first_stays_with_the_highest_weight(
    tmp_path: Path,
) -> None:
    lines = lines_of(tmp_path, {**PAIR, "weight": 1}, {"query": "Who?", "response": "I."},
                     {**PAIR, "weight": 10})  # fmt: skip
    assert lines.duplicates == {3: 1}
    assert [(e.id, e.weight) for e in lines.examples] == [(1, 10), (2, 3)]


def test_two_answers_to_one_question_are_named(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, PAIR, {"query": "which port", "response": "Port 80."})
    assert lines.contradictions == [(1, 2)]


def test_an_empty_queue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing in"):
        lines_of(tmp_path)


def test_the_lines_held_out_follow_from_the_seed(tmp_path: Path) -> None:
    found = lines_of(
        tmp_path, *({"query": f"Q{n}?", "response": f"A{n}"} for n in range(20))
    ).examples
    trained, apart = divided(found, 0.1, 0)
    assert (len(trained), len(apart)) == (18, 2)
    assert (trained, apart) == divided(found, 0.1, 0)
    assert apart != divided(found, 0.1, 1)[1]
    assert divided(found, 0.0, 0) == (found, [])
    assert [len(part) for part in divided(found[:2], 0.9, 0)] == [1, 1]


def test_an_archived_queue_is_moved_and_private(tmp_path: Path) -> None:
    queue = take(written(tmp_path / "queue.jsonl", PAIR))
    assert archive(queue, tmp_path / "done.jsonl") is None
    assert not queue.path.exists()
    assert (tmp_path / "done.jsonl").read_bytes() == queue.data
    assert (tmp_path / "done.jsonl").stat().st_mode & 0o777 == 0o600


def test_lines_that_came_meanwhile_stay_in_the_queue(tmp_path: Path) -> None:
    queue = take(written(tmp_path / "queue.jsonl", PAIR))
    with queue.path.open("ab") as file:
        file.write(b"later\n")
    said = archive(queue, tmp_path / "done.jsonl")
    assert said
    assert "came meanwhile" in said
    assert queue.path.read_bytes() == b"later\n"
    assert (tmp_path / "done.jsonl").read_bytes() == queue.data


def test_a_queue_that_was_rewritten_meanwhile_stays(tmp_path: Path) -> None:
    queue = take(written(tmp_path / "queue.jsonl", PAIR))
    queue.path.write_bytes(b"other\n")
    assert archive(queue, tmp_path / "done.jsonl")
    assert queue.path.read_bytes() == b"other\n"
    assert (tmp_path / "done.jsonl").read_bytes() == queue.data


def test_archiving_again_after_an_interruption_changes_nothing(tmp_path: Path) -> None:
    queue = take(written(tmp_path / "queue.jsonl", PAIR))
    archive(queue, tmp_path / "done.jsonl")
    again = take_again(queue.path, tmp_path / "done.jsonl", len(queue.data), queue.sha256)
    assert archive(again, tmp_path / "done.jsonl") is None
    assert (tmp_path / "done.jsonl").read_bytes() == queue.data


def test_a_queue_on_another_file_system_is_copied_and_then_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = take(written(tmp_path / "queue.jsonl", PAIR))
    rename = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self == queue.path:
            raise OSError(18, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", across)
    assert archive(queue, tmp_path / "done.jsonl") is None
    assert not queue.path.exists()
    assert (tmp_path / "done.jsonl").read_bytes() == queue.data


def test_a_queue_that_has_only_grown_is_gone_on_with_and_another_is_not(tmp_path: Path) -> None:
    queue = take(written(tmp_path / "queue.jsonl", PAIR))
    written(queue.path, PAIR, PAIR)
    again = take_again(queue.path, tmp_path / "no.jsonl", len(queue.data), queue.sha256)
    assert again == queue
    written(queue.path, {"query": "Who?", "response": "I."})
    with pytest.raises(UsageError, match="does not hold the lines any more"):
        take_again(queue.path, tmp_path / "no.jsonl", len(queue.data), queue.sha256)
