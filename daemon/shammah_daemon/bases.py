"""Bases from a file on disk to ground that lessons can be built on.

Two steps: `add` checks what would otherwise fail at night and takes seconds; `groundwork` makes
what every lesson needs (replay, teacher, reference) in the background, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import psutil
import structlog

from shammah.bases import embedded
from shammah.bases.parity import Probe as ParityProbe
from shammah.bases.parity import check_logits, check_tokens
from shammah.bases.registry import Ground, Registry, name_for
from shammah.bases.replay import ANSWER_TOKENS, Replayed, choose, load, prompts, save
from shammah.bases.template import ChatTemplate
from shammah.config import EngineConfig
from shammah.engine.handle import Engine
from shammah.engine.requests import ScoreRow
from shammah.errors import BaseModelError, Conflict, ShammahError, StorageError, UsageError
from shammah.files import write_atomically
from shammah.gate.measure import Answered, Probe, answer, reference
from shammah.paths import Paths
from shammah.protocol import AddBaseRequest
from shammah.records import Base, Message
from shammah.training.sizing import Shape
from shammah.training.spec import Row, save_replay
from shammah_daemon import artefacts
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.schedule.forecast import first_lesson
from shammah_daemon.stages import Stages

log = structlog.get_logger()

Prepared = Literal["ready", "preparing", "no", "failed"]

#: Answers generated at the same time while replay is made.
REPLAY_SLOTS = 8

#: Target tokens of each held-out answer on which the judge measures KL.
REFERENCE_TOKENS = 24


class Bases:
    """Registers, checks and prepares base models."""

    def __init__(
        self,
        paths: Paths,
        registry: Registry,
        config: EngineConfig,
        stages: Stages,
        courtesy: Courtesy,
    ) -> None:
        self._paths = paths
        self._registry = registry
        self._config = config
        self._stages = stages
        self._courtesy = courtesy
        self._groundworks: dict[str, asyncio.Task[None]] = {}
        self._problems: dict[str, str] = {}

    async def ensure_embedded(self) -> Base:
        """The embedded default, registered at first start.

        Raises:
            BaseModelError: its package is not installed.
        """
        if embedded.NAME not in self._registry.names():
            path = embedded.gguf()
            async with self._engine(path, slots=1) as engine:
                base = await _describe(embedded.NAME, path, engine)
            self._registry.save(base)
        return self._registry.get(embedded.NAME)

    async def find_embedded(self) -> None:
        """Where the embedded default lies now, if its package was moved or restored elsewhere."""
        if embedded.NAME not in self._registry.names():
            return
        base = self._registry.get(embedded.NAME)
        if Path(base.gguf).exists():
            return
        with contextlib.suppress(BaseModelError):  # who asks is told that it is gone
            path = embedded.gguf()
            if await asyncio.to_thread(artefacts.digest, path) == base.sha256:
                self._registry.save(replace(base, gguf=str(path)))

    def names(self) -> list[str]:
        return self._registry.names()

    def get(self, name: str) -> Base:
        """Raises NotFound."""
        return self._registry.get(name)

    async def add(self, request: AddBaseRequest) -> Base:
        """Check a GGUF and register it.

        Raises:
            BaseModelError: it cannot be served or taught; says why. Nothing is registered.
            Conflict: the name is taken.
        """
        path = Path(request.path)
        weights = Path(request.weights) if request.weights else None
        name = name_for(path, request.name)
        if name in self._registry.names():
            raise Conflict(f"there is a base called {name!r} already", hint="use --name")
        shape = await asyncio.to_thread(_check_file, path, weights)
        _check_resources(path, self._paths)
        try:
            async with self._engine(path, slots=REPLAY_SLOTS) as engine:
                base = await _describe(name, path, engine)
                ChatTemplate.of(base).render([Message(role="user", content="Hello")])
                base = replace(base, weights=str(weights) if weights else None)
                _check_memory(base, shape)
                self._registry.save(base)
                await self._import_weights(base, engine)
        except BaseException:
            shutil.rmtree(self._paths.base(name), ignore_errors=True)
            raise
        return base

    def remove(self, name: str) -> None:
        """Forget a base; its GGUF stays where it is."""
        if name in self._groundworks and not self._groundworks[name].done():
            raise Conflict(f"the base {name!r} is being prepared", hint="try again in a minute")
        self._registry.remove(name)

    def prepared(self, name: str) -> tuple[Prepared, str | None]:
        """How far `name` is, and why it cannot be taught, if so."""
        task = self._groundworks.get(name)
        if task is not None and not task.done():
            return "preparing", None
        if name in self._problems:
            return "failed", self._problems[name]
        return ("ready" if self.ground(name).is_ready else "no"), None

    def ground(self, name: str) -> Ground:
        return Ground(self._paths.base(name))

    async def groundwork(self, base: Base) -> None:
        """Make what lessons on `base` need; returns at once when all is there.

        Raises what made it fail; asked again, it tries again. Cancelled, it ends the work, so that
        its memory comes back: only a job waits for it, and one job is at work at a time.
        """
        if self.ground(base.name).is_ready:
            return
        work = self.begin_groundwork(base)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise

    def begin_groundwork(self, base: Base) -> asyncio.Task[None]:
        """The same without waiting. A failure is kept for `prepared`, and met again by the job."""
        task = self._groundworks.get(base.name)
        if task is None or task.done():
            task = asyncio.create_task(self._lay_ground(base))
            task.add_done_callback(_retrieve)
            self._groundworks[base.name] = task
        return task

    async def close(self) -> None:
        for task in self._groundworks.values():
            task.cancel()
        await asyncio.gather(*self._groundworks.values(), return_exceptions=True)

    async def _lay_ground(self, base: Base) -> None:
        ground = self.ground(base.name)
        if ground.is_ready:
            return
        self._problems.pop(base.name, None)
        try:
            await artefacts.check(Path(base.gguf), base.sha256)
            async with self._engine(Path(base.gguf), slots=REPLAY_SLOTS) as engine:
                template = ChatTemplate.of(base)
                replay = await self._replay(base, engine, template)
                rows = await _tokenize(engine, template, replay)
                save_replay(ground.replay_tokens, rows)
                await self._import_weights(base, engine)
                if not ground.reference.exists():
                    write_atomically(ground.reference, await _reference(engine, replay, rows))
        except ShammahError as error:
            self._problems[base.name] = error.message
            log.error("base cannot be taught", base=base.name, problem=error.message)
            raise

    async def _replay(self, base: Base, engine: Engine, template: ChatTemplate) -> list[Replayed]:
        """The base's own answers to general prompts: shipped for the embedded one, else made."""
        path = self.ground(base.name).replay
        if path.exists():
            return load(path)
        if base.name == embedded.NAME:
            write_atomically(path, embedded.replay())
            return load(path)
        asked = prompts()

        async def ask(question: str) -> Answered:
            text = template.render([Message(role="user", content=question)])
            [tokens] = await engine.tokenize([text], prompt=True)
            return await answer(engine, tokens, ANSWER_TOKENS)

        answers = await asyncio.gather(*map(ask, asked))
        replay = choose(
            (question, given.text, given.ended)
            for question, given in zip(asked, answers, strict=True)
        )
        save(path, replay)
        return replay

    async def _import_weights(self, base: Base, engine: Engine) -> None:
        """Run the prepare stage, and check that both sides see the same model."""
        ground = self.ground(base.name)
        checked = ground.probe.exists()
        await self._stages.run(
            ["shammah.training", "prepare", str(ground.folder)], _ignore_progress
        )
        if checked:
            return
        try:
            probe = ParityProbe.load(ground.probe)
            differing = check_tokens(probe, await engine.tokenize(probe.texts, prompt=False))
            row = ScoreRow(probe.passage[:1], probe.passage[1:], at=[ids for ids, _ in probe.top])
            [scored] = await engine.score([row])
            difference = check_logits(probe, scored.at)
            log.info(
                "parity",
                base=base.name,
                log_probability_difference=round(difference, 4),
                texts_tokenized_differently=differing,
            )
        except BaseException:
            ground.probe.unlink(missing_ok=True)
            raise

    @asynccontextmanager
    async def _engine(self, path: Path, slots: int) -> AsyncIterator[Engine]:
        """An engine of our own, in the background."""
        engine = await Engine.start(path, self._config, slots)
        try:
            with self._courtesy.background(engine.pid):
                yield engine
        finally:
            await engine.close()


async def _describe(name: str, path: Path, engine: Engine) -> Base:
    about = engine.description
    return Base(
        name=name,
        gguf=str(path.absolute()),
        sha256=await asyncio.to_thread(artefacts.digest, path),
        size_bytes=path.stat().st_size,
        architecture=about["architecture"],
        parameters=about["parameters"],
        quantization=about["quantization"],
        context_tokens=about["context_tokens"],
        template=about["template"],
        bos_token=about["bos_token"],
        eos_token=about["eos_token"],
    )


async def _tokenize(
    engine: Engine, template: ChatTemplate, replay: Sequence[Replayed]
) -> list[Row]:
    pairs = [
        template.render_with_target([Message(role="user", content=item.prompt)], item.answer)
        for item in replay
    ]
    prompt_tokens = await engine.tokenize([prompt for prompt, _ in pairs], prompt=True)
    targets = await engine.tokenize_targets([completion for _, completion in pairs])
    return [
        Row(prompt=prompt, target=target, held_out=item.held_out)
        for prompt, target, item in zip(prompt_tokens, targets, replay, strict=True)
    ]


async def _reference(engine: Engine, replay: Sequence[Replayed], rows: Sequence[Row]) -> bytes:
    held_out = [(item, row) for item, row in zip(replay, rows, strict=True) if row.held_out]
    probes = await reference(
        engine,
        [item.prompt for item, _ in held_out],
        [item.answer for item, _ in held_out],
        [ScoreRow(row.prompt, row.target[:REFERENCE_TOKENS]) for _, row in held_out],
    )
    return json.dumps([asdict(probe) for probe in probes]).encode()


def load_reference(path: Path) -> list[Probe]:
    return [Probe(**item) for item in json.loads(path.read_bytes())]


def _check_file(path: Path, weights: Path | None) -> Shape:
    """Everything that the header tells. Imported here: numpy is heavy, and rarely needed."""
    from shammah.bases.architectures import lookup
    from shammah.bases.gguf_header import read_header

    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="give the path of a GGUF file")
    if weights is not None and not (weights / "config.json").is_file():
        raise UsageError(
            f"{weights} is not a Hugging Face model folder: it has no config.json",
            hint="leave --weights out to train on the GGUF's own weights",
        )
    if weights is not None and not any(weights.glob("*.safetensors")):
        raise UsageError(
            f"{weights} holds no safetensors; pickled weights (.bin, .pt) can run programs when "
            "they are loaded, and are not",
            hint="use a folder with *.safetensors, or leave --weights out",
        )
    header = read_header(path)
    lookup(header.architecture)
    header.check_complete()
    return Shape.of_header(header)


def _check_memory(base: Base, shape: Shape) -> None:
    needed = first_lesson(shape).memory_bytes
    total = psutil.virtual_memory().total
    if needed > total:
        raise BaseModelError(
            f"{base.name} has {base.parameters / 1e9:.1f} billion parameters: teaching it takes "
            f"about {needed / 1e9:.0f} GB of memory, this machine has {total / 1e9:.0f} GB",
            hint="choose a smaller model",
        )


def _check_resources(path: Path, paths: Paths) -> None:
    """A file that no memory or disk could hold is refused before it is loaded."""
    size = path.stat().st_size
    total = psutil.virtual_memory().total
    if size > total:
        raise BaseModelError(
            f"{path.name} takes {size / 1e9:.1f} GB, this machine has {total / 1e9:.0f} GB memory",
            hint="choose a smaller model",
        )
    # A 4-bit file holds about two parameters a byte.
    needed, free = (
        first_lesson(Shape.typical(2 * size)).disk_bytes,
        shutil.disk_usage(paths.data_dir).free,
    )
    if needed > free:
        raise StorageError(
            f"teaching {path.name} takes about {needed / 1e9:.1f} GB of disk, "
            f"{free / 1e9:.1f} GB are free under {paths.data_dir}",
            hint="free some space, or set SHAMMAH_HOME to a larger disk",
        )


async def _ignore_progress(_fields: dict[str, Any]) -> None:
    """Preparation shows as a state, not as a bar."""


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at the exception, so that asyncio does not complain that nobody did."""
    if not task.cancelled():
        task.exception()
