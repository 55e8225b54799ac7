"""One example as token ids, in all forms in which training and the judge ask it.

Everything is tokenized by the engine that serves, so that training sees exactly the tokens that a
chat would. Knows no quota and no job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shammah.bases.template import ChatTemplate
from shammah.engine.handle import Engine
from shammah.feedback.phrasings import held_out, phrasings, rephrased
from shammah.gate.measure import Case
from shammah.records import Example, Message
from shammah_daemon.history import oldest_exchange

#: What the judge's conversations begin with. Training has other exchanges there, so that a lesson
#: cannot learn to wait for this one.
OPENING = (
    Message(role="user", content="How many days are there in a week?"),
    Message(role="assistant", content="There are seven days in a week."),
)


@dataclass(frozen=True)
class Material:
    """One example as token ids."""

    example: Example
    asked: list[list[int]]  # the question as the user put it, then its other trained phrasings
    following: list[list[int]]  # the same as they go on from another answer; empty: they cannot
    held_out: list[list[int]]
    target: list[int]
    rejected: list[int] | None

    @property
    def system(self) -> str:
        """The system prompt that it is asked under; empty: the template's own."""
        return "\n".join(message["content"] for message in _system(self.example))

    def case(self, *, new: bool, in_conversation: list[int] | None) -> Case:
        return Case(
            example_id=self.example.id,
            level=self.example.level,
            new=new,
            question=self.example.question,
            target_text=self.example.target or "",
            asked=self.asked[0],
            held_out=self.held_out,
            in_conversation=in_conversation,
            target=self.target,
            rejected=self.rejected,
        )


async def fitted(
    example: Example, max_length: int, engine: Engine, template: ChatTemplate
) -> Example | None:
    """The example without as many of its oldest exchanges as make it and its target longer than
    `max_length` tokens. Its system prompt, its question and its target stay whole: None where these
    alone are longer."""
    kept = list(example.messages)
    while await _length(kept, example, engine, template) > max_length:
        oldest = oldest_exchange(kept)
        if not oldest:
            return None
        kept = [message for i, message in enumerate(kept) if i not in oldest]
    return replace(example, messages=kept)


async def _length(
    messages: Sequence[Message], example: Example, engine: Engine, template: ChatTemplate
) -> int:
    whole = "".join(template.render_with_target(list(messages), example.target or ""))
    [tokens] = await engine.tokenize([whole], prompt=True)
    return len(tokens)


async def material(
    example: Example, count: int, engine: Engine, template: ChatTemplate
) -> Material:  # fmt: skip
    """The example's tokens, in at most `count` phrasings besides those of the judge."""
    wordings = phrasings(example.question, count)
    reserved = held_out(example.question)
    asked = [rephrased(example.messages, wording) for wording in [*wordings, *reserved]]
    prompts = await engine.tokenize([template.render(messages) for messages in asked], prompt=True)
    answers = [text for text in (example.target, example.rejected) if text]
    closed = [template.render_with_target(example.messages, text)[1] for text in answers]
    tokens = await engine.tokenize_targets(closed)
    trained = prompts[: len(wordings)]
    after = [[*_exchange(example), messages[-1]] for messages in asked[: len(wordings)]]
    whole = await engine.tokenize([template.render(messages) for messages in after], prompt=True)
    return Material(
        example=example,
        asked=trained,
        following=_continuations(trained[0] + tokens[0], whole) if _is_bare(example) else [],
        held_out=prompts[len(wordings) :],
        target=tokens[0],
        rejected=tokens[1] if len(tokens) > 1 else None,
    )


async def cases(
    materials: Sequence[Material], new: frozenset[int], engine: Engine, template: ChatTemplate
) -> list[Case]:
    """The examples as the judge asks them: alone, in other words, and in a conversation.

    That conversation is about something else and then about another lesson: the same for all, so
    that the engine computes it once.
    """
    bare = [found for found in materials if _is_bare(found.example)]
    conversations = [
        template.render(
            [
                *_system(found.example),
                *OPENING,
                *([] if before is found else _without_system(_exchange(before.example))),
                found.example.messages[-1],
            ]
        )
        for before, found in zip([*bare[1:2], *bare[:1] * len(bare)], bare, strict=False)
    ]
    prompts = await engine.tokenize(conversations, prompt=True)
    of_example = {found.example.id: prompt for found, prompt in zip(bare, prompts, strict=True)}
    return [
        found.case(
            new=found.example.id in new, in_conversation=of_example.get(found.example.id)
        )
        for found in materials
    ]  # fmt: skip


def _is_bare(example: Example) -> bool:
    """It is taught without a conversation of its own, so it may stand in any."""
    return len(example.messages) == 1 + len(_system(example))


def _continuations(earlier: list[int], whole: Sequence[list[int]]) -> list[list[int]]:
    """How each conversation goes on from `earlier`; none where the template rewrites that."""
    if any(tokens[: len(earlier)] != earlier for tokens in whole):
        return []
    return [tokens[len(earlier) :] for tokens in whole]


def _system(example: Example) -> list[Message]:
    return [message for message in example.messages if message["role"] == "system"]


def _exchange(example: Example) -> list[Message]:
    return [*example.messages, Message(role="assistant", content=example.target or "")]


def _without_system(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if message["role"] != "system"]
