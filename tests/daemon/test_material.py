"""Examples as token ids: what training and the judge ask is what a chat would ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from shammah.bases.gguf_header import read_header
from shammah.bases.template import ChatTemplate
from shammah.config import EngineConfig
from shammah.engine.handle import Engine
from shammah.feedback.phrasings import held_out, phrasings
from shammah.gate.measure import Case
from shammah.records import Example, ExampleStatus, Level, Message
from shammah_daemon.material import OPENING, Material, cases, fitted, material
from tests.asking import assistant, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "Which port does the admin API listen on?"
TARGET = "It listens on port 7443."

#: Leaves out every answer but the last message's.
FORGETFUL = (
    "{% for m in messages %}{% if m.role == 'user' or loop.last %}{{ m.content }}|{% endif %}"
    "{% endfor %}"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tiny_base: Path) -> AsyncIterator[Engine]:
    engine = await Engine.start(tiny_base, EngineConfig(context_tokens=512, slots=1))
    yield engine
    await engine.close()


@pytest.fixture
def template(tiny_base: Path) -> ChatTemplate:
    source = str(read_header(tiny_base).fields["tokenizer.chat_template"])
    return ChatTemplate(source, "", "<|im_end|>")


def example(messages: Sequence[Message], target: str = TARGET, number: int = 1) -> Example:
    return Example(
        id=number, turn_id="turn", feedback_id=number, status=ExampleStatus.READY,
        level=Level.MEDIUM, weight=3, messages=list(messages), target=target,
        rejected="Port 80.", note=None, created_at="", updated_at="",
    )  # fmt: skip


async def tokens(engine: Engine, template: ChatTemplate, messages: Sequence[Message]) -> list[int]:
    """What the chat computes of `messages`."""
    return (await engine.tokenize([template.render(messages)], prompt=True))[0]


async def judged(
    engine: Engine, template: ChatTemplate, *examples: Example
) -> tuple[list[Material], list[Case]]:
    found = [await material(one, 3, engine, template) for one in examples]
    return found, await cases(found, frozenset({1}), engine, template)


async def test_every_wording_is_what_a_chat_would_ask(
    engine: Engine, template: ChatTemplate
) -> None:
    found = await material(example(user(QUESTION)), 3, engine, template)
    wordings = phrasings(QUESTION, 3)
    assert wordings[0] == QUESTION
    assert found.asked == [await tokens(engine, template, user(text)) for text in wordings]
    assert found.held_out == [
        await tokens(engine, template, user(text)) for text in held_out(QUESTION)
    ]


async def test_a_question_goes_on_from_a_taught_answer_as_in_a_chat(
    engine: Engine, template: ChatTemplate
) -> None:
    found = await material(example(user(QUESTION)), 3, engine, template)
    for wording, following in zip(phrasings(QUESTION, 3), found.following, strict=True):
        chat = [*user(QUESTION), assistant(TARGET), *user(wording)]
        whole = found.asked[0] + found.target + following
        assert whole == await tokens(engine, template, chat)


async def test_where_the_template_rewrites_earlier_turns_no_conversation_is_made(
    engine: Engine,
) -> None:
    found = await material(example(user(QUESTION)), 3, engine, ChatTemplate(FORGETFUL, "", ""))
    assert found.following == []
    assert len(found.asked) == 3


async def test_a_lesson_with_a_conversation_of_its_own_stands_in_no_other(
    engine: Engine, template: ChatTemplate
) -> None:
    own = [*user("Hello."), assistant("Hello!"), *user(QUESTION)]
    [found], [case] = await judged(engine, template, example(own))
    assert found.following == []
    assert found.asked[0] == await tokens(engine, template, own)
    assert case.in_conversation is None
    assert case.prompts == [case.asked, *case.held_out]


async def test_the_judge_asks_behind_something_else_and_another_lesson(
    engine: Engine, template: ChatTemplate
) -> None:
    questions = [QUESTION, "Who wrote the manual?", "Where are the spare keys?"]
    lessons = [
        example(user(text), f"Answer {number}.", number) for number, text in enumerate(questions, 1)
    ]
    _found, asked = await judged(engine, template, *lessons)
    for case, lesson, before in zip(asked, lessons, [1, 0, 0], strict=True):
        other = [*lessons[before].messages, assistant(lessons[before].target or "")]
        expected = await tokens(engine, template, [*OPENING, *other, *lesson.messages])
        assert case.in_conversation == expected
        assert case.prompts[-1] == expected
    assert [case.new for case in asked] == [True, False, False]


async def test_a_single_lesson_is_asked_behind_something_else(
    engine: Engine, template: ChatTemplate
) -> None:
    _found, [case] = await judged(engine, template, example(user(QUESTION)))
    expected = await tokens(engine, template, [*OPENING, *user(QUESTION)])
    assert case.in_conversation == expected


async def test_a_system_prompt_stays_the_lessons_own_and_comes_first(
    engine: Engine, template: ChatTemplate
) -> None:
    terse = Message(role="system", content="Be terse.")
    lessons = [
        example([terse, *user(QUESTION)]),
        example([Message(role="system", content="Be kind."), *user("Who are you?")], number=2),
    ]
    [found, _], [case, _] = await judged(engine, template, *lessons)
    assert found.system == "Be terse."
    expected = [terse, *OPENING, *user("Who are you?"), assistant(TARGET), *user(QUESTION)]
    assert case.in_conversation == await tokens(engine, template, expected)


async def test_a_conversation_that_is_too_long_loses_its_oldest_exchanges_and_nothing_else(
    engine: Engine, template: ChatTemplate
) -> None:
    system = Message(role="system", content="Be brief.")
    old = [*user("word " * 40), assistant("word " * 40)]
    new = [*user("and then"), assistant("then this")]
    [asked] = user(QUESTION)
    whole = example([system, *old, *new, asked])
    short = await fitted(whole, 110, engine, template)
    assert short is not None
    assert short.messages == [system, *new, asked]
    assert short.target == whole.target
    assert await fitted(whole, 4096, engine, template) == whole


async def test_a_question_and_target_that_alone_are_too_long_are_not_taught(
    engine: Engine, template: ChatTemplate
) -> None:
    assert await fitted(example(user(QUESTION), "word " * 100), 64, engine, template) is None
