"""The asker's side of the engine child: starts it, talks JSON lines, notices its end.

Knows no llama.cpp and no chat; who needs another engine after a crash starts another handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from shammah import errors
from shammah.config import EngineConfig
from shammah.engine.requests import Sampling, ScoreRow, error_message
from shammah.errors import EngineCrashed, EngineError, ShammahError
from shammah.stage import child_environment

log = structlog.get_logger()

#: A score answer is one line: 40 rows of 100 positions with 32 candidates each come to 4 MB.
LINE_LIMIT_BYTES = 1 << 26

Message = dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """How a generation ended; `reason` is stop, length or cancelled."""

    reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_seconds: float
    tokens_per_second: float
    mean_nll: float | None = None  # of the tokens drawn, in nats, where `Sampling.score` asked


@dataclass(frozen=True)
class Scored:
    """Log-likelihoods of one row: per target token its NLL in nats, and what was asked besides."""

    nll: list[float]
    top: list[tuple[list[int], list[float]]]
    at: list[list[float]]

    @property
    def mean_nll(self) -> float:
        return sum(self.nll) / len(self.nll)


@dataclass(frozen=True)
class Embedding:
    """The direction of one text."""

    vector: list[float]  # of length 1
    tokens: int  # of the text


class Child:
    """The process, and who waits for which of its answers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.contexts: set[int] = set()  # that somebody holds
        self._pending: dict[int, asyncio.Queue[Message]] = {}
        self._numbers = itertools.count(1)
        self._context_numbers = itertools.count()
        self._reader = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        return not self._reader.done()

    def new_context(self) -> int:
        """The number of a context that is to be made."""
        number = next(self._context_numbers)
        self.contexts.add(number)
        return number

    async def ask(self, op: str, **fields: Any) -> Message:
        """What it answers. Raises as `Engine`'s methods do."""
        number, queue = self.open()
        try:
            await self.send(id=number, op=op, **fields)
            return _checked(await queue.get())
        finally:
            self.leave(number)

    def open(self) -> tuple[int, asyncio.Queue[Message]]:
        """The number of a new request, and where its answers come."""
        if not self.alive:
            raise _crashed(self.process.returncode)
        number = next(self._numbers)
        queue: asyncio.Queue[Message] = asyncio.Queue()
        self._pending[number] = queue
        return number, queue

    def leave(self, number: int) -> None:
        """Nobody waits for the request any more."""
        del self._pending[number]

    def write(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.write(**message)
        # A broken pipe shows as the end of stdout too; the reader tells those who wait.
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    def interrupt(self, reason: ShammahError) -> None:
        for number, queue in self._pending.items():
            queue.put_nowait(error_message(number, reason))

    async def end(self) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            queue = self._pending.get(message["id"])
            if queue is not None:
                queue.put_nowait(message)
        code = await self.process.wait()
        error = _crashed(code)
        log.info("engine ended", pid=self.process.pid, code=code, in_flight=len(self._pending))
        self.interrupt(error)


class Engine:
    """One running engine child with one model loaded, or one context of several in it.

    Every method raises `EngineCrashed` when the child ends before it has answered, and otherwise
    the class of `shammah.errors` that the child raised.
    """

    def __init__(self, child: Child) -> None:
        self._child = child
        self._context = child.new_context()
        self.description: Message = {}  # of the file, see `llama.Model.description`
        self.context_tokens = 0  # longest prompt plus answer

    @classmethod
    async def start(cls, path: Path, config: EngineConfig, slots: int | None = None) -> Engine:
        """A child that has loaded `path` and computed a first token.

        Raises:
            BaseModelError: llama.cpp cannot load the file.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shammah.engine",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT_BYTES,
            env=child_environment(), start_new_session=True,
        )  # fmt: skip
        engine = cls(Child(process))
        try:
            loaded = await engine._ask(
                "load",
                path=str(path),
                context_tokens=config.context_tokens,
                threads=config.threads,
                gpu_layers=config.gpu_layers,
                slots=slots or config.slots,
            )
            engine.description = loaded["description"]
            engine.context_tokens = loaded["context_tokens"]
            await engine._warm_up()
        except BaseException:
            await engine.close()
            raise
        return engine

    @property
    def pid(self) -> int:
        return self._child.process.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    def shares_process_with(self, other: Engine) -> bool:
        return self._child is other._child

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, *, watched: bool = True
    ) -> AsyncGenerator[str | Finished, None]:
        """Pieces of text, then `Finished`. Leaving the iteration early cancels the answer.

        Args:
            watched: somebody reads along, so that other work must go on in small steps.
        """
        number, queue = self._child.open()
        finished = False
        try:
            await self._child.send(
                id=number,
                op="generate",
                context=self._context,
                prompt=list(prompt),
                sampling=asdict(sampling),
                watched=watched,
            )
            while True:
                message = _checked(await queue.get())
                if message["event"] == "text":
                    yield message["text"]
                    continue
                finished = True
                yield Finished(
                    reason=message["finish_reason"],
                    prompt_tokens=message["prompt_tokens"],
                    cached_tokens=message["cached_tokens"],
                    completion_tokens=message["completion_tokens"],
                    first_token_seconds=message["first_token_seconds"],
                    tokens_per_second=message["tokens_per_second"],
                    mean_nll=message.get("mean_nll"),
                )
                return
        finally:
            self._child.leave(number)
            if not finished and self.alive:
                # Not awaited: this also runs while the asking task is being cancelled.
                self._child.write(op="cancel", target=number)

    async def answer(self, prompt: Sequence[int], sampling: Sampling) -> tuple[str, Finished]:
        """The whole answer at once; nobody reads along."""
        pieces: list[str] = []
        async for part in self.generate(prompt, sampling, watched=False):
            if isinstance(part, Finished):
                return "".join(pieces), part
            pieces.append(part)
        raise EngineCrashed("the engine ended in the middle of an answer")

    async def score(self, rows: Sequence[ScoreRow], top: int = 0) -> list[Scored]:
        """Log-likelihoods of the targets, in the order of `rows`."""
        answer = await self._ask("score", rows=[asdict(row) for row in rows], top=top)
        return [
            Scored(
                nll=row["nll"],
                top=[(ids, values) for ids, values in row.get("top", [])],
                at=row.get("at", []),
            )
            for row in answer["rows"]
        ]

    async def tokenize(self, texts: Sequence[str], *, prompt: bool) -> list[list[int]]:
        """Token ids; `prompt`: each text begins a sequence."""
        tokens: list[list[int]] = (await self._ask("tokenize", texts=list(texts), prompt=prompt))[
            "tokens"
        ]
        return tokens

    async def tokenize_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids up to and with the first end-of-turn token of each text."""
        answer = await self._ask("tokenize", texts=list(texts), prompt=False)
        return [
            tokens[: ends.index(True) + 1] if True in ends else tokens
            for tokens, ends in zip(answer["tokens"], answer["ends_turn"], strict=True)
        ]

    async def embed(self, text: str) -> Embedding:
        """One text at a time, so that answers go on between two.

        Raises:
            UsageError: the text is empty.
            PromptTooLong: it has more tokens than one batch.
        """
        answer = await self._ask("embed", text=text)
        return Embedding(answer["vector"], answer["tokens"])

    async def grammar(self, schema: dict[str, Any]) -> str:
        """The grammar that holds an answer to a JSON schema, for `Sampling.grammar`.

        Raises:
            UsageError: the schema cannot be turned into one.
        """
        grammar: str = (await self._ask("grammar", schema=schema))["grammar"]
        return grammar

    async def use_adapters(self, scales: Mapping[Path, float]) -> None:
        """Compute with these GGUF LoRAs and no others, from the next token on."""
        await self._ask("adapters", adapters=_plain(scales))

    async def beside(self, scales: Mapping[Path, float]) -> Engine:
        """The same weights with other adapters, in a context of its own: answers of this engine go
        on as they began. Takes the memory of one more cache until either of the two is closed."""
        other = Engine(self._child)
        other.description, other.context_tokens = self.description, self.context_tokens
        try:
            await other._ask("fork", adapters=_plain(scales))
        except BaseException:
            self._child.contexts.discard(other._context)
            raise
        return other

    async def share_cores(self, *, shared: bool) -> None:
        """Compute with half of the threads while another engine answers too; two engines with a
        thread for every core each wait for the other's at every layer."""
        await self._ask("share", shared=shared)

    async def forget(self) -> None:
        """Drop the cached beginnings: every later token would be compared with them."""
        await self._ask("forget")

    async def stats(self) -> Message:
        """memory_bytes of the child, the number of active answers and that of threads."""
        return await self._ask("stats")

    def interrupt(self, reason: ShammahError) -> None:
        """End every answer of the child that is under way: who waits for it gets `reason`."""
        self._child.interrupt(reason)

    async def close(self) -> None:
        """Give the context back, and end the child with its last one; what was in flight gets
        `EngineCrashed` then."""
        self._child.contexts.discard(self._context)
        if not self._child.contexts:
            await self._child.end()
        elif self.alive:
            with contextlib.suppress(EngineError):  # it ends meanwhile, and the context with it
                await self._ask("release")

    async def _warm_up(self) -> None:
        tokens = await self.tokenize(["Hello"], prompt=True)
        await self.answer(tokens[0], Sampling(max_tokens=1))

    async def _ask(self, op: str, **fields: Any) -> Message:
        return await self._child.ask(op, context=self._context, **fields)


def _plain(scales: Mapping[Path, float]) -> dict[str, float]:
    return {str(path): scale for path, scale in scales.items()}


def _crashed(code: int | None) -> EngineCrashed:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return EngineCrashed(
        f"the engine process ended ({how})", hint="it is started again: ask once more"
    )


def _checked(message: Message) -> Message:
    if message["event"] == "error":
        raise errors.by_name(message["type"])(message["message"], hint=message["hint"])
    return message
