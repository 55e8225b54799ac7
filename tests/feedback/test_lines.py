"""Lines of training files into examples and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.config import LearningConfig
from shammah.errors import UsageError
from shammah.feedback.lines import parse, render, split
from shammah.records import Example, ExampleStatus, Level, Message

SETTINGS = LearningConfig()
SYSTEM = Message(role="system", content="Be brief.")
ASKED = [{"role": "user", "content": "Which port?"}]
CHAT = [*ASKED, {"role": "assistant", "content": " Port 7443. "}]


def read(line: Any) -> Example:
    return parse(json.dumps(line).encode(), SETTINGS, "some.jsonl")


def test_a_chat_line_is_a_ready_example_that_no_turn_stands_behind() -> None:
    one = read({"messages": CHAT})
    assert (one.messages, one.target, one.rejected) == (ASKED, "Port 7443.", None)
    assert (one.status, one.level, one.weight) == (ExampleStatus.READY, Level.MEDIUM, 3)
    assert (one.id, one.turn_id, one.feedback_id, one.source) == (0, None, None, "some.jsonl")


def test_what_came_before_is_kept_as_it_was_given() -> None:
    before = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
        },
        {"role": "assistant", "content": "Hi.", "weight": 0},
    ]
    assert [(m["role"], m["content"]) for m in read({"messages": [*before, *CHAT]}).messages] == [
        ("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi."), ("user", "Which port?"),
    ]  # fmt: skip


def test_the_answer_that_is_not_preferred_is_the_rejected_one() -> None:
    one = read(
        {
            "input": {"messages": ASKED, "tools": [], "parallel_tool_calls": True},
            "preferred_output": [{"role": "assistant", "content": "Port 7443."}],
            "non_preferred_output": [{"role": "assistant", "content": "Port 80."}],
            "weight": 10,
        }
    )
    assert (one.target, one.rejected, one.level) == ("Port 7443.", "Port 80.", Level.CRITICAL)


@pytest.mark.parametrize(
    ("marks", "level", "weight"),
    [
        ({"level": "critical"}, Level.CRITICAL, 10),
        ({"weight": 500}, Level.CRITICAL, 500),
        ({"weight": 9}, Level.MEDIUM, 9),
        ({"weight": 2}, Level.GOOD, 2),
        ({"weight": 2, "level": "critical"}, Level.CRITICAL, 2),
    ],
)
def test_level_and_weight_follow_from_each_other(
    marks: dict[str, Any], level: Level, weight: int
) -> None:
    one = read({"messages": CHAT} | marks)
    assert (one.level, one.weight) == (level, weight)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([], "not a JSON object"),
        ({"messages": []}, "must be the user's"),
        ({"messages": ASKED}, "no answer to teach"),
        ({"messages": [*ASKED, *CHAT[1:], *CHAT[1:]]}, "must be the user's"),
        ({"messages": [*ASKED, {"role": "assistant", "content": " "}]}, "no answer to teach"),
        ({"messages": [{"role": "user", "content": " "}, CHAT[1]]}, "question is empty"),
        ({"messages": [*ASKED, CHAT[1] | {"weight": 0}]}, "weight is 0"),
        ({"messages": [*ASKED, {"role": "assistant", "content": None}]}, "messages.1.content"),
        ({"messages": [*ASKED, CHAT[1] | {"tool_calls": []}]}, "messages.1.tool_calls"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content: only text can be taught",
        ),
        ({"messages": CHAT, "tools": []}, "tools"),
        ({"messages": CHAT, "weight": 0}, "weight"),
        ({"messages": CHAT, "rejected": "Port 7443."}, "the same as the one to teach"),
        ({"messages": CHAT, "status": "draft"}, "a draft has no answer yet"),
        ({"messages": CHAT, "status": "forgotten"}, "status"),
        ({"input": {"messages": ASKED}, "preferred_output": []}, "preferred_output"),
    ],
)
def test_a_line_that_cannot_be_taught_as_it_says_is_refused(line: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(line)


@pytest.mark.parametrize(
    "line",
    [b"{", b"\xff", b'{"messages": "\xff"}', b"[" * 100_000, b'{"messages": "\\ud800"}'],
)
def test_what_is_no_json_is_refused_without_repeating_it(line: bytes) -> None:
    with pytest.raises(UsageError, match="not JSON") as caught:
        parse(line, SETTINGS, "some.jsonl")
    assert len(caught.value.message) < 100


def test_a_refusal_repeats_no_word() -> None:
    with pytest.raises(UsageError) as caught:
        read({"messages": [{"role": "quillfeather", "content": "zanzimbar"}], "weight": "wrumble"})
    assert "quill" not in caught.value.message


def test_only_a_line_feed_ends_a_line() -> None:
    assert split("a\u2028b\r\nc\n\nd".encode()) == ["a\u2028b\r\n".encode(), b"c\n", b"\n", b"d"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(
    question=TEXT,
    target=st.none() | TEXT.map(str.strip),
    rejected=st.none() | TEXT.map(str.strip),
    note=st.none() | TEXT,
    level=st.sampled_from(Level),
    weight=st.integers(1, 1000),
    held=st.booleans(),
)
def test_what_is_written_is_read_back(
    question: str,
    target: str | None,
    rejected: str | None,
    note: str | None,
    level: Level,
    weight: int,
    held: bool,
) -> None:
    accepted = ExampleStatus.HELD if held else ExampleStatus.READY
    one = Example(
        id=0,
        turn_id=None,
        feedback_id=None,
        status=ExampleStatus.DRAFT if target is None else accepted,
        level=level,
        weight=weight,
        messages=[SYSTEM, Message(role="user", content=question)],
        target=target,
        rejected=None if rejected == target else rejected,
        note=note,
        created_at="",
        updated_at="",
        source="some.jsonl",
    )  # fmt: skip
    [line] = split("".join(render([one])).encode())
    assert parse(line, SETTINGS, "some.jsonl") == one
