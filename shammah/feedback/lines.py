"""Examples as lines of JSON: OpenAI's chat and preference formats for training files, and back; and
plain pairs of a query and a response, which are only read.

Beside OpenAI's keys a line may say what only Shammah knows: weight, level, status, rejected answer,
note. A key that means nothing here is refused, so that nothing is left out in silence. Knows no
store.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from shammah.config import LearningConfig
from shammah.errors import UsageError
from shammah.feedback.levels import weight_of
from shammah.invalid import first_fault
from shammah.records import Example, ExampleStatus, Level, Message


def _joined(content: Any) -> Any:
    """The text of OpenAI's list of parts."""
    if not isinstance(content, list):
        return content
    if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
        raise ValueError("only text can be taught")
    return "".join(part.get("text", "") for part in content)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Said(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_joined)]
    weight: Literal[0, 1] = 1  # OpenAI's: whether this message is taught

    def plain(self) -> Message:
        return Message(
            role="system" if self.role == "developer" else self.role, content=self.content
        )


class _Marks(_Strict):
    """What only Shammah knows."""

    weight: Annotated[int, Field(ge=1, le=1000)] | None = None
    level: Level | None = None
    status: Literal["draft", "held", "ready"] = "ready"  # the others are history
    note: str | None = None


class _Chat(_Marks):
    messages: list[_Said]
    rejected: str | None = None


class _Input(_Strict):
    messages: list[_Said]
    tools: list[Any] = Field([], max_length=0)
    parallel_tool_calls: bool = True  # says nothing where there are no tools


class _Preference(_Marks):
    input: _Input
    preferred_output: list[_Said] = Field(min_length=1, max_length=1)
    non_preferred_output: list[_Said] = Field(min_length=1, max_length=1)

    def as_chat(self) -> _Chat:
        marks = self.model_dump(include=set(_Marks.model_fields))
        said = [*self.input.messages, *self.preferred_output]
        return _Chat(messages=said, rejected=self.non_preferred_output[0].content, **marks)


_LEVELS = ", ".join(Level)


def _level(text: str) -> Level | None:
    found = text.strip().casefold()
    return Level(found) if found in list(Level) else None


def _number_or_level(value: Any) -> int | Level | None:
    """A weight as it is written in pairs: 10, 10.0 or "critical"."""
    if isinstance(value, str) and (level := _level(value)):
        return level
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"write a whole number from 1 to 1000, or one of {_LEVELS}")


class _Pair(_Strict):
    """A question and what is to be answered, with a weight and what was said about an answer."""

    query: str
    response: str | None = None
    weight: Annotated[Any, BeforeValidator(_number_or_level)] = None
    feedback: str | None = None  # a level, or the user's words
    rejected: str | None = None

    def as_chat(self) -> _Chat:
        if not (self.response or "").strip():
            if self.rejected or self.feedback:
                raise UsageError(
                    "it says what is wrong, not what would be right: there is no response to teach"
                )
            raise UsageError("there is no response to teach")
        said = (self.feedback or "").strip()
        named = _level(said)
        level = self.weight if isinstance(self.weight, Level) else named
        if named not in (None, level):
            raise UsageError("weight and feedback name two different levels")
        return _Chat.model_validate(
            {
                "messages": [
                    {"role": "user", "content": self.query},
                    {"role": "assistant", "content": self.response},
                ],
                "rejected": self.rejected,
                "weight": None if isinstance(self.weight, Level) else self.weight,
                "level": level,
                "note": None if named else said or None,
            }
        )


def split(data: bytes) -> list[bytes]:
    """The lines of a file with their ends. Only a line feed ends one: JSON escapes it in texts."""
    return list(io.BytesIO(data))


def parse(line: bytes, learning: LearningConfig, source: str) -> Example:
    """The example that a line is, not stored yet: its id is 0.

    The last message is the target; what the assistant says earlier is context. Without a status
    the example is ready. Without a weight it is that of its level; without a level it is the
    highest that the weight reaches, and without both it is medium.

    Raises:
        UsageError: it is no example; says why, and repeats nothing that stands in it.
    """
    chat = _read(line)
    messages, target = _taught([said.plain() for said in chat.messages], chat)
    rejected = (chat.rejected or "").strip() or None
    if target is not None and target == rejected:
        raise UsageError("the rejected answer is the same as the one to teach")
    level, weight = _rated(chat, learning)
    return Example(
        id=0,
        turn_id=None,
        feedback_id=None,
        status=ExampleStatus(chat.status),
        level=level,
        weight=weight,
        messages=messages,
        target=target,
        rejected=rejected,
        note=chat.note,
        created_at="",
        updated_at="",
        source=source,
    )


def render(examples: Sequence[Example]) -> Iterator[str]:
    """A line for each example, which `parse` reads back."""
    for example in examples:
        answer = (
            [] if example.target is None else [Message(role="assistant", content=example.target)]
        )
        said = {
            "messages": [*example.messages, *answer],
            "weight": example.weight,
            "level": example.level,
            "status": example.status,
            "rejected": example.rejected,
            "note": example.note,
        }
        line = {key: value for key, value in said.items() if value is not None}
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _read(line: bytes) -> _Chat:
    try:
        data = from_json(line)
        if not isinstance(data, dict):
            raise UsageError("this is not a JSON object")
        if data.keys() & {"input", "preferred_output"}:
            return _Preference.model_validate(data).as_chat()
        if data.keys() & {"query", "response"}:
            return _Pair.model_validate(data).as_chat()
        return _Chat.model_validate(data)
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(f"{fault.where}: {fault.message}") from None
    except ValueError as error:  # says where, not what
        problem = str(error).replace(" at line 1 column", " at column")
        raise UsageError(f"this is not JSON: {problem}") from None


def _taught(said: list[Message], chat: _Chat) -> tuple[list[Message], str | None]:
    """The messages up to the question, and the answer to it; None in a draft."""
    answered = bool(said) and said[-1]["role"] == "assistant"
    messages, target = (said[:-1], said[-1]["content"].strip()) if answered else (said, None)
    if not messages or messages[-1]["role"] != "user":
        raise UsageError("the last message before the answer must be the user's")
    if not messages[-1]["content"].strip():
        raise UsageError("the question is empty")
    if chat.status == "draft":
        if answered:
            raise UsageError("a draft has no answer yet, and this line has one")
    elif not target:
        raise UsageError("there is no answer to teach: the last message must be the assistant's")
    elif not chat.messages[-1].weight:
        raise UsageError("the answer's weight is 0: there is nothing to teach")
    return messages, target


def _rated(chat: _Chat, learning: LearningConfig) -> tuple[Level, int]:
    if chat.weight is None:
        level = chat.level or Level.MEDIUM
        return level, weight_of(level, learning)
    reached = (level for level in Level if chat.weight >= weight_of(level, learning))
    return chat.level or next(reached, Level.GOOD), chat.weight
