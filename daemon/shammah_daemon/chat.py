"""One turn: from a client's messages to a streamed answer and its record in the store.

Knows no HTTP. The order matters: the record is durable before the client hears that the answer
ended, so that feedback on it always finds its turn.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakSet

import structlog

from shammah.completions import ACTIVE_MODEL, ChatRequest, Sampled
from shammah.config import ChatConfig
from shammah.engine.handle import Engine, Finished
from shammah.engine.requests import Sampling
from shammah.errors import PromptTooLong, ShammahError
from shammah.feedback.commands import strip_exchanges
from shammah.feedback.injection import with_corrections
from shammah.records import Active, Applied, Example, Message, Turn
from shammah.store.erasure import Texts
from shammah_daemon.corrections import Corrections
from shammah_daemon.database import Database
from shammah_daemon.history import oldest_exchange
from shammah_daemon.metrics import Metrics
from shammah_daemon.naming import Naming
from shammah_daemon.serving import Lease

log = structlog.get_logger()

#: Of the context, what a prompt leaves free for the answer at least, when history must go.
ANSWER_SHARE = 0.25


@dataclass(frozen=True)
class Started:
    """An answer begins."""

    turn_id: str
    active: Active
    dropped_messages: int  # the oldest ones, left out because the context is full
    injected: list[int]  # ids of the examples that were put into the context
    adapters: list[Applied] = field(default_factory=list)  # that were added to the version


@dataclass(frozen=True)
class Ended:
    """The answer is complete and recorded."""

    finished: Finished


class Chat:
    """Answers chat requests."""

    def __init__(
        self,
        config: ChatConfig,
        naming: Naming,
        database: Database,
        corrections: Corrections,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._naming = naming
        self._database = database
        self._corrections = corrections
        self._metrics = metrics
        self._now = now
        self._saving: set[asyncio.Task[None]] = set()
        self._answering: WeakSet[Recorder] = WeakSet()  # until they are recorded
        self._forgetting: list[Texts] = []

    async def answer(self, request: ChatRequest) -> AsyncGenerator[Started | str | Ended, None]:
        """`Started`, pieces of text, `Ended`. Leaving early stops the engine and keeps the part.

        Raises:
            ModelNotFound: the request names no model.
            NotFound: no such session.
            PromptTooLong: the newest message alone does not fit.
            UsageError: the JSON schema of the answer cannot be held to.
            EngineError: no engine, or it ended; the turn is recorded with what there is.
        """
        messages = self._history(request)
        if (session := request.session) is not None:
            await self._database.run(lambda store: store.sessions.require(session))
        async with self._naming.lease(request.model) as lease:
            sampling = sampling_of(
                request, self._config, request.limit, await _grammar(request, lease.engine)
            )
            corrections = await self._find_corrections(request.model, messages, lease.active)
            fitted = await fit(lease, messages, sampling.max_tokens, corrections)
            turn = Recorder(
                self._database, lease.active, messages, fitted.injected,
                self._now().isoformat(), session, list(lease.adapters),
            )  # fmt: skip
            turn.forgotten += self._forgetting
            self._answering.add(turn)
            yield Started(
                turn.id, lease.active, fitted.dropped, fitted.injected, list(lease.adapters)
            )
            try:
                async with aclosing(lease.engine.generate(fitted.prompt, sampling)) as parts:
                    async for part in parts:
                        if isinstance(part, Finished):
                            await turn.save(part.reason, part)
                            self._metrics.answered(part)
                            yield Ended(part)
                        else:
                            turn.answer += part
                            yield part
            except ShammahError:
                await turn.save("error", None)
                raise
            finally:
                if not turn.saved:
                    self._save_later(turn)

    async def close(self) -> None:
        """What a cancelled answer records is recorded, if the disk takes it."""
        await asyncio.gather(*self._saving, return_exceptions=True)

    @contextmanager
    def forgetting(self, texts: Texts) -> Iterator[None]:
        """Records nothing of `texts` of the answers that are under way while this lasts."""
        self._forgetting.append(texts)
        for turn in self._answering:
            turn.forgotten.append(texts)
        try:
            yield
        finally:
            self._forgetting.remove(texts)

    def _save_later(self, turn: Recorder) -> None:
        """The client left, and whoever asked is being cancelled: the record must not be."""
        task = asyncio.create_task(_save_cancelled(turn))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    def _history(self, request: ChatRequest) -> list[Message]:
        messages = strip_exchanges(
            [Message(role=_role(m.role), content=m.content) for m in request.messages]
        )
        if self._config.system and not any(m["role"] == "system" for m in messages):
            messages.insert(0, Message(role="system", content=self._config.system))
        return messages

    async def _find_corrections(
        self, model: str, messages: list[Message], active: Active
    ) -> list[Example]:
        """Nothing is put before the eyes of a version that was asked for by its number."""
        if model != ACTIVE_MODEL:
            return []
        return await self._corrections.find(messages, active.base)


class Recorder:
    """The record of one turn, written once."""

    def __init__(
        self, database: Database, active: Active, messages: list[Message], injected: list[int],
        created_at: str, session: int | None, adapters: Sequence[Applied] = (),
    ) -> None:  # fmt: skip
        self.id = f"chatcmpl-{secrets.token_hex(12)}"
        self.answer = ""
        self.saved = False
        self.forgotten: list[Texts] = []  # meanwhile: what must not be recorded
        self._database = database
        self._active = active
        self._messages = messages
        self._injected = injected
        self._created_at = created_at
        self._session = session
        self._adapters = list(adapters)

    async def save(self, reason: str, finished: Finished | None) -> None:
        self.saved = True
        *before, question = self._messages
        if any(t.are_in(question["content"]) or t.are_in(self.answer) for t in self.forgotten):
            return
        for texts in self.forgotten:
            before = texts.cut_from(before)
        turn = Turn(
            id=self.id,
            created_at=self._created_at,
            base=self._active.base,
            version=self._active.version,
            messages=[*before, question],
            answer=self.answer,
            finish_reason=reason,
            prompt_tokens=finished.prompt_tokens if finished else 0,
            completion_tokens=finished.completion_tokens if finished else 0,
            injected=self._injected,
            adapters=self._adapters,
        )
        await self._database.run(lambda store: store.record_turn(turn, self._session))


@dataclass(frozen=True)
class Fitted:
    """A prompt that leaves room for an answer."""

    prompt: list[int]  # token ids
    dropped: int  # of the oldest messages
    injected: list[int]  # ids of the examples in it


async def fit(
    lease: Lease, messages: Sequence[Message], max_tokens: int, corrections: Sequence[Example] = ()
) -> Fitted:
    """The prompt, the oldest messages dropped until it fits.

    System messages stay. Corrections too large to stand beside the newest message are left out.
    Raises `PromptTooLong` when the newest message alone is too long.
    """
    context = lease.engine.context_tokens
    room = context - min(max_tokens, int(context * ANSWER_SHARE))
    kept = list(messages)
    while True:
        tokens = await prompt_tokens(lease, with_corrections(kept, corrections))
        oldest = oldest_exchange(kept)
        if len(tokens) <= room or (not oldest and not corrections and len(tokens) < context):
            injected = [example.id for example in corrections]
            return Fitted(tokens, len(messages) - len(kept), injected)
        if not oldest and corrections:
            corrections, kept = (), list(messages)
            continue
        if not oldest:
            raise PromptTooLong(
                f"the message takes {len(tokens)} tokens, the context has room for {context}",
                hint="shorten the message, or raise engine.context_tokens",
            )
        kept = [m for i, m in enumerate(kept) if i not in oldest]


async def prompt_tokens(lease: Lease, messages: Sequence[Message]) -> list[int]:
    """The conversation as the model reads it, ending where its answer begins."""
    # A template that came with a file may take its whole two seconds.
    text = await asyncio.to_thread(lease.template.render, messages)
    return await tokens_of(lease.engine, text)


async def tokens_of(engine: Engine, text: str) -> list[int]:
    return (await engine.tokenize([text], prompt=True))[0]


def sampling_of(
    request: Sampled, config: ChatConfig, max_tokens: int | None, grammar: str = ""
) -> Sampling:
    """How the answer is drawn: as the client asks, else as the settings say."""
    return Sampling(
        max_tokens=max_tokens or config.max_tokens,
        temperature=config.temperature if request.temperature is None else request.temperature,
        top_p=config.top_p if request.top_p is None else request.top_p,
        seed=secrets.randbits(31) if request.seed is None else request.seed,
        stop=request.stop_strings,
        frequency_penalty=request.frequency_penalty or 0.0,
        presence_penalty=request.presence_penalty or 0.0,
        grammar=grammar,
    )


async def _save_cancelled(turn: Recorder) -> None:
    """Nobody waits for it who could be told that it failed."""
    try:
        await turn.save("cancelled", None)
    except ShammahError as error:
        log.error("an answer is not recorded", turn=turn.id, problem=error.message)


async def _grammar(request: ChatRequest, engine: Engine) -> str:
    schema = request.response_format.schema_of_answer if request.response_format else None
    return "" if schema is None else await engine.grammar(schema)


def _role(role: str) -> str:
    """Roles as chat templates know them."""
    return {"developer": "system", "tool": "user", "function": "user"}.get(role, role)
