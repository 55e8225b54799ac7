"""The asker's side of the engine child: starts it, talks JSON lines, notices its end.

Knows no llama.cpp and no chat; who needs another engine after a crash starts another handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from shammah import errors
from shammah.config import EngineConfig
from shammah.engine.requests import Sampling, ScoreRow, error_message
from shammah.errors import EngineCrashed, ShammahError
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


class Engine:
    """One running engine child with one model loaded.

    Every method raises `EngineCrashed` when the child ends before it has answered, and otherwise
    the class of `shammah.errors` that the child raised.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._pending: dict[int, asyncio.Queue[Message]] = {}
        self._numbers = itertools.count(1)
        self._reader = asyncio.create_task(self._read())
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
        engine = cls(process)
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
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._reader.done()

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, *, watched: bool = True
    ) -> AsyncGenerator[str | Finished, None]:
        """Pieces of text, then `Finished`. Leaving the iteration early cancels the answer.

        Args:
            watched: somebody reads along, so that other work must go on in small steps.
        """
        number, queue = self._open()
        finished = False
        try:
            await self._send(
                id=number,
                op="generate",
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
            del self._pending[number]
            if not finished and self.alive:
                # Not awaited: this also runs while the asking task is being cancelled.
                self._write(op="cancel", target=number)

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

    async def attach(self, adapter: Path, scale: float = 1.0) -> None:
        """Put a GGUF LoRA on the model, from the next token on."""
        await self._ask("attach", path=str(adapter), scale=scale)

    async def detach(self, adapter: Path) -> None:
        await self._ask("detach", path=str(adapter))

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
        """End every answer that is under way: who waits for it gets `reason`."""
        for number, queue in self._pending.items():
            queue.put_nowait(error_message(number, reason))

    async def close(self) -> None:
        """End the child; what was in flight gets `EngineCrashed`."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await self._reader

    async def _warm_up(self) -> None:
        tokens = await self.tokenize(["Hello"], prompt=True)
        await self.answer(tokens[0], Sampling(max_tokens=1))

    async def _ask(self, op: str, **fields: Any) -> Message:
        number, queue = self._open()
        try:
            await self._send(id=number, op=op, **fields)
            return _checked(await queue.get())
        finally:
            del self._pending[number]

    def _open(self) -> tuple[int, asyncio.Queue[Message]]:
        if not self.alive:
            raise _crashed(self._process.returncode)
        number = next(self._numbers)
        queue: asyncio.Queue[Message] = asyncio.Queue()
        self._pending[number] = queue
        return number, queue

    def _write(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _send(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._write(**message)
        # A broken pipe shows as the end of stdout too; the reader tells those who wait.
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            queue = self._pending.get(message["id"])
            if queue is not None:
                queue.put_nowait(message)
        code = await self._process.wait()
        error = _crashed(code)
        log.info("engine ended", pid=self.pid, code=code, in_flight=len(self._pending))
        self.interrupt(error)


def _crashed(code: int | None) -> EngineCrashed:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return EngineCrashed(
        f"the engine process ended ({how})", hint="it is started again: ask once more"
    )


def _checked(message: Message) -> Message:
    if message["event"] == "error":
        raise errors.by_name(message["type"])(message["message"], hint=message["hint"])
    return message
