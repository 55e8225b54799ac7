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
from shammah.hub.reference import Found
from shammah.paths import Paths
from shammah.protocol import AddBaseRequest
from shammah.records import Base, Message
from shammah.training.sizing import Shape
from shammah.training.spec import Row, save_replay
from shammah_daemon import artefacts
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.downloads import WEIGHTS, Downloads, Parts, Placed
from shammah_daemon.schedule.forecast import first_lesson
from shammah_daemon.stages import Progress, Stages

log = structlog.get_logger()

Prepared = Literal["ready", "preparing", "no", "failed"]

#: Answers generated at the same time while replay is made.
REPLAY_SLOTS = 8

#: Target tokens of each held-out answer on which the judge measures KL.
REFERENCE_TOKENS = 24


async def ignore_progress(_fields: dict[str, Any]) -> None:
    """Preparation shows as a state, not as a bar."""


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
        self._downloads = Downloads(paths, stages)
        self._adding: dict[str, asyncio.Task[Base]] = {}
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

    async def find_moved(self) -> None:
        """Where bases lie now whose place was moved: the home, or the embedded one's package."""
        await self._find_embedded()
        self._downloads.prune()
        for name in self._registry.names():
            with contextlib.suppress(BaseModelError):  # who asks for it is told
                base = self._registry.get(name)
                moved = _within(base, self._paths.base(name))
                if moved != base:
                    self._registry.save(moved)

    async def _find_embedded(self) -> None:
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

    async def add(self, request: AddBaseRequest, on_progress: Progress = ignore_progress) -> Base:
        """Check a GGUF and register it; one on the Hugging Face hub is fetched first.

        A base whose file from the hub has gone gets it again.

        Raises:
            BaseModelError: it cannot be served or taught; says why. Nothing is registered.
            Conflict: the name is taken.
            NotFound, HubError: the hub does not have it, or cannot be asked.
        """
        parts = await self._downloads.find(request.path, request.weights)
        name = name_for(parts.name, request.name)
        lost = self._lost(name, parts)
        if name in self._adding:
            raise Conflict(f"{name!r} is being added already", hint="wait for it")
        if name in self._registry.names() and lost is None:
            raise Conflict(f"there is a base called {name!r} already", hint="use --name")
        if isinstance(parts.gguf, Found):
            _check_found(parts.gguf, self._paths)
        work = asyncio.create_task(
            self._bring_back(lost, parts, on_progress)
            if lost
            else self._add(name, parts, on_progress)
        )
        self._adding[name] = work
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.cancelled():
                raise Conflict(
                    f"the daemon is stopping: {name!r} is not added",
                    hint="what was fetched is kept: the same command goes on with it",
                ) from None
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            del self._adding[name]

    async def _add(self, name: str, parts: Parts, on_progress: Progress) -> Base:
        folder = self._paths.base(name)
        try:
            placed = await self._downloads.fetch(parts, folder, on_progress)
            base = await self._register(name, placed, parts)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, BaseModelError):  # and would be one the next time
                self._downloads.forget(parts)
            raise
        self._downloads.forget(parts)
        return base

    async def _register(self, name: str, placed: Placed, parts: Parts) -> Base:
        path, weights = placed.gguf, placed.weights
        shape = await asyncio.to_thread(_check_file, path, weights)
        _check_resources(path.name, path.stat().st_size, self._paths)
        async with self._engine(path, slots=REPLAY_SLOTS) as engine:
            base = await _describe(name, path, engine)
            ChatTemplate.of(base).render([Message(role="user", content="Hello")])
            base = replace(
                base,
                weights=str(weights) if weights else None,
                source=parts.source,
                weights_source=parts.weights_source,
            )
            _check_memory(base, shape)
            self._registry.save(base)
            await self._import_weights(base, engine)
        return base

    def _lost(self, name: str, parts: Parts) -> Base | None:
        """The base of that name, if it is what `parts` are and its file is gone."""
        if name not in self._registry.names():
            return None
        try:
            base = self._registry.get(name)
        except BaseModelError:  # damaged, but its name is taken all the same
            return None
        same = base.source is not None and base.source == parts.source
        return base if same and not Path(base.gguf).exists() else None

    async def _bring_back(self, base: Base, parts: Parts, on_progress: Progress) -> Base:
        folder = self._paths.base(base.name)
        placed = await self._downloads.fetch(parts, folder, on_progress)
        await artefacts.check(placed.gguf, base.sha256)
        self._downloads.forget(parts)
        back = _within(base, folder)
        self._registry.save(back)
        return back

    def remove(self, name: str) -> None:
        """Forget a base. A GGUF that was given by its path stays; one from the hub goes."""
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
        tasks = [*self._groundworks.values(), *self._adding.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        await self._stages.run(["shammah.training", "prepare", str(ground.folder)], ignore_progress)
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
    from shammah.bases.architectures import check_teachable
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
    header.check_complete()
    check_teachable(header, with_weights=weights is not None)
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


def _check_found(found: Found, paths: Paths) -> None:
    """What the hub tells of a file, before it is fetched."""
    from shammah.bases.architectures import lookup

    if found.architecture is not None:
        lookup(found.architecture)
    [file] = found.files
    _check_resources(Path(file.name).name, file.size_bytes, paths)


def _within(base: Base, folder: Path) -> Base:
    """The base with what is in its own folder, and not where it was, found there."""
    gguf, weights = folder / Path(base.gguf).name, folder / WEIGHTS
    if base.source and not Path(base.gguf).exists() and gguf.is_file():
        base = replace(base, gguf=str(gguf))
    if base.weights_source and base.weights != str(weights) and weights.is_dir():
        base = replace(base, weights=str(weights))
    return base


def _check_resources(name: str, size: int, paths: Paths) -> None:
    """A file that no memory or disk could hold is refused before it is loaded or fetched."""
    total = psutil.virtual_memory().total
    if size > total:
        raise BaseModelError(
            f"{name} takes {size / 1e9:.1f} GB, this machine has {total / 1e9:.0f} GB memory",
            hint="choose a smaller model",
        )
    # A 4-bit file holds about two parameters a byte.
    needed, free = (
        first_lesson(Shape.typical(2 * size)).disk_bytes,
        shutil.disk_usage(paths.data_dir).free,
    )
    if needed > free:
        raise StorageError(
            f"teaching {name} takes about {needed / 1e9:.1f} GB of disk, "
            f"{free / 1e9:.1f} GB are free under {paths.data_dir}",
            hint="free some space, or set SHAMMAH_HOME to a larger disk",
        )


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at the exception, so that asyncio does not complain that nobody did."""
    if not task.cancelled():
        task.exception()
