"""How a conversation is made to fit the context: the oldest exchanges go, the question stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.bases.template import ChatTemplate
from shammah.engine.handle import Engine
from shammah.errors import PromptTooLong
from shammah.records import Active, Message
from shammah_daemon.chat import fit
from shammah_daemon.serving import Lease

CONTEXT_TOKENS = 100
#: Every message is its content; every character is a token.
TEMPLATE = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", "", "")


class FakeEngine:
    """Tokenizes by characters."""

    context_tokens = CONTEXT_TOKENS

    async def tokenize(self, texts: Sequence[str], *, prompt: bool) -> list[list[int]]:
        return [[ord(char) for char in text] for text in texts]


LEASE = Lease(cast(Engine, FakeEngine()), Active("tiny", 0), TEMPLATE)


def message(role: str, letter: str, size: int) -> Message:
    return Message(role=role, content=letter * size)


async def fitted(messages: Sequence[Message], max_tokens: int = 10) -> tuple[str, int]:
    fitted = await fit(LEASE, messages, max_tokens)
    return "".join(map(chr, fitted.prompt)), fitted.dropped


async def test_what_fits_stays_whole() -> None:
    chat = [message("user", "a", 30), message("assistant", "b", 30), message("user", "c", 30)]
    assert await fitted(chat) == ("a" * 30 + "b" * 30 + "c" * 30, 0)


async def test_the_oldest_exchange_goes_whole() -> None:
    chat = [
        message("user", "a", 5),
        message("assistant", "b", 40),
        message("user", "c", 20),
        message("assistant", "d", 20),
        message("user", "e", 20),
    ]
    assert await fitted(chat) == ("c" * 20 + "d" * 20 + "e" * 20, 2)


async def test_the_system_prompt_stays() -> None:
    chat = [
        message("system", "s", 10),
        message("user", "a", 40),
        message("assistant", "b", 40),
        message("user", "c", 30),
    ]
    assert await fitted(chat) == ("s" * 10 + "c" * 30, 2)


async def test_room_for_the_answer_is_at_most_a_quarter_of_the_context() -> None:
    chat = [message("user", "a", 20), message("assistant", "b", 20), message("user", "c", 35)]
    assert (await fitted(chat, max_tokens=1000))[1] == 0
    chat[-1] = message("user", "c", 36)
    assert (await fitted(chat, max_tokens=1000))[1] == 2


async def test_a_question_that_leaves_little_room_is_answered_shortly() -> None:
    assert await fitted([message("user", "a", 95)]) == ("a" * 95, 0)


@pytest.mark.parametrize("history", [0, 4])
async def test_a_question_longer_than_the_context_is_refused(history: int) -> None:
    earlier = [message("user", "a", 5), message("assistant", "b", 5)] * (history // 2)
    with pytest.raises(PromptTooLong, match="takes 100 tokens, the context has room for 100"):
        await fitted([*earlier, message("user", "c", 100)])


CHATS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 60)), max_size=8
).map(lambda parts: [message(role, "h", size) for role, size in parts])


@given(CHATS, st.integers(0, 90), st.integers(1, 60))
async def test_the_prompt_fits_and_ends_with_the_question(
    history: list[Message], size: int, max_tokens: int
) -> None:
    system, question = message("system", "s", 5), message("user", "q", size)
    text, dropped = await fitted([system, *history, question], max_tokens)
    assert len(text) < CONTEXT_TOKENS
    assert text.startswith("s" * 5)
    assert text.endswith("q" * size)
    kept = "".join(m["content"] for m in history[dropped:])
    assert text == "s" * 5 + kept + "q" * size
