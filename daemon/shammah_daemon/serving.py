"""The engine that answers the user, and its replacement without cutting an answer.

Knows engines and files; knows no chat, no job and no database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncIterator,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import psutil
import structlog

from shammah.bases.template import ChatTemplate
from shammah.config import EngineConfig
from shammah.engine.handle import Engine
from shammah.engine.requests import Sampling
from shammah.errors import EngineCrashed, EngineError, ShammahError
from shammah.protocol import EngineState, EngineStatus
from shammah.records import Active, Applied, Message
from shammah_daemon import artefacts
from shammah_daemon.attachments import Attachment, Attachments, no_attachments, scales
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.schedule.forecast import ENGINE_OVERHEAD_BYTES
from shammah_daemon.servable import Servable

log = structlog.get_logger()


@dataclass
class Seat:
    """An engine and what it is needed for."""

    servable: Servable
    engine: Engine
    adapters: Sequence[Applied] = ()
    bare: Engine | None = None  # the same without adapters, where somebody asked for it
    making_bare: asyncio.Lock = field(default_factory=asyncio.Lock)
    leases: int = 0  # answers and work in the background
    answers: int = 0
    retired: bool = False


@dataclass(frozen=True)
class Lease:
    """The right to one answer from one engine."""

    engine: Engine
    active: Active
    template: ChatTemplate
    adapters: Sequence[Applied] = ()  # that are added to it


class Serving:
    """Hands out the active engine, starts it again after a crash, swaps it for another.

    Args:
        attachments: asked whenever an engine is about to serve, and when adapters change.
    """

    def __init__(
        self,
        config: EngineConfig,
        courtesy: Courtesy,
        attachments: Attachments = no_attachments,
    ) -> None:
        self._config = config
        self._courtesy = courtesy
        self._attachments = attachments
        self._left_out: str | None = None  # why an adapter that was loaded is not added
        self._seat: Seat | None = None
        self._retired: list[Seat] = []  # that still answer
        self._wanted: Servable | None = None
        self._changing = asyncio.Lock()
        self._draining = False  # new requests wait for the engine that is to come
        self._drained = asyncio.Event()
        self._lacking: ShammahError = EngineError(
            "no model is set up", hint="add one with 'shammah model add PATH.gguf'"
        )
        self._problem: str | None = None
        self._remark: str | None = None
        self._state: EngineState = "stopped"
        self._tasks: set[asyncio.Task[None]] = set()
        self._guests = 0  # answers of engines that this class does not know

    @property
    def servable(self) -> Servable | None:
        """What answers now, or what would as soon as it can be loaded."""
        return self._seat.servable if self._seat else self._wanted

    def want(self, servable: Servable) -> None:
        """Serve this file once somebody asks; loads nothing yet."""
        self._wanted = servable

    def lack(self, reason: ShammahError) -> None:
        """There is nothing to serve, for this reason: who asks is told it."""
        self._lacking = reason
        self._problem, self._state = reason.message, "failed"

    def remark(self, text: str) -> None:
        """What the status says until something else is chosen to serve."""
        self._remark = text

    @property
    def adapters(self) -> Sequence[Applied]:
        """Those that are added to what answers now."""
        return self._seat.adapters if self._seat else ()

    @asynccontextmanager
    async def lease(self, *, bare: bool = False) -> AsyncIterator[Lease]:
        """The active engine for one answer; background work waits meanwhile.

        Args:
            bare: the version itself, whatever adapters are loaded.

        Raises:
            EngineError: no model, or it cannot be loaded.
        """
        with self._courtesy.answering():
            seat = await self._ready_seat()
            with self._holding(seat):
                seat.answers += 1
                try:
                    yield await self._lent(seat, bare=bare)
                finally:
                    seat.answers -= 1

    @asynccontextmanager
    async def borrow(self, *, bare: bool = False) -> AsyncIterator[Lease]:
        """The active engine for what is no answer: it tokenizes and scores beside running ones, and
        background work goes on. Whoever measures a version wants it `bare`, see `lease`."""
        seat = await self._ready_seat()
        with self._holding(seat):
            yield await self._lent(seat, bare=bare)

    async def use(self, servable: Servable) -> None:
        """Serve another file from the next request on; running answers finish where they are.

        Raises:
            BaseModelError: the file cannot be loaded; the one before keeps serving.
        """
        async with self._changing:
            if self._seat is None or self.fits_beside(servable.size_bytes):
                self._install(servable, *await self._start(servable))
            else:
                await self._replace_in_place(servable)

    async def adopt(self, servable: Servable, engine: Engine) -> None:
        """Serve with an engine that runs already and is warm, from the next request on."""
        async with self._changing:
            adapters: Sequence[Applied] = ()
            with contextlib.suppress(EngineCrashed):  # the next request starts it again, with them
                adapters = await self._attach(engine, servable)
                if adapters:  # they emptied its cache
                    await warm_up(engine, servable.template)
            self._install(servable, engine, adapters)

    async def apply(self) -> None:
        """Add the adapters that are loaded now, and no others, to what serves, from the next
        request on. Loads no model: answers that are under way end with the adapters that they began
        with, in a context of their own.

        Raises:
            EngineError: llama.cpp refuses one, or memory does not hold another context. What was
                added before stays.
        """
        async with self._changing:
            seat = self._seat
            if seat is None or not seat.engine.alive:
                return  # the next start adds them
            self._draining = True  # who comes now gets the new state
            try:
                wanted = await self._checked(seat.servable)
                engine = seat.engine
                if seat.leases:
                    engine = await seat.engine.beside(scales(wanted))
                else:
                    await seat.engine.use_adapters(scales(wanted))
                self._install(seat.servable, engine, [one.applied for one in wanted])
            finally:
                self._draining = False

    @asynccontextmanager
    async def sharing_cores(self, guest: Engine) -> AsyncIterator[None]:
        """While this lasts, `guest` and the active engine compute with half of the threads each."""
        own = [self._seat.engine] if self._seat else []
        self._guests += 1
        try:
            await _share_cores([guest, *own], shared=True)
            yield
        finally:
            self._guests -= 1
            if self._guests == 0:
                self._spawn(_share_cores([guest, *own], shared=False))

    def fits_beside(self, size_bytes: int) -> bool:
        """Whether memory holds one more engine with a file of that size."""
        return psutil.virtual_memory().available > size_bytes + ENGINE_OVERHEAD_BYTES

    def status(self) -> EngineStatus:
        seat = self._seat
        alive = seat is not None and seat.engine.alive
        state = self._state
        if state == "ready" and not alive:
            state = "loading"  # the next request starts it again
        return EngineStatus(
            state=state,
            pid=seat.engine.pid if seat and alive else None,
            context_tokens=seat.engine.context_tokens if seat else None,
            memory_bytes=_memory(seat.engine.pid) if seat and alive else None,
            active_requests=seat.answers if seat else 0,
            problem=self._problem or self._left_out or self._remark,
        )

    def interrupt(self, reason: ShammahError) -> None:
        """End every answer; who waits for one gets `reason`."""
        for seat in [*self._retired, *([self._seat] if self._seat else [])]:
            seat.engine.interrupt(reason)

    async def close(self) -> None:
        async with self._changing:
            if self._seat:
                await _close(self._seat)
            await asyncio.gather(*self._tasks)

    @contextmanager
    def _holding(self, seat: Seat) -> Iterator[None]:
        """While this lasts the seat's engine stays."""
        seat.leases += 1
        try:
            yield
        finally:
            seat.leases -= 1
            if seat.leases == 0:
                self._drained.set()
                if seat.retired:
                    self._retire(seat)

    async def _ready_seat(self) -> Seat:
        if self._seat and self._seat.engine.alive and not self._draining:
            return self._seat
        async with self._changing:
            if self._seat and self._seat.engine.alive:
                return self._seat
            servable = self._seat.servable if self._seat else self._wanted
            if servable is None:
                raise EngineError(self._lacking.message, hint=self._lacking.hint)
            self._install(servable, *await self._start(servable))
            assert self._seat is not None
            return self._seat

    async def _lent(self, seat: Seat, *, bare: bool) -> Lease:
        """The seat's engine, or its model without the adapters, in a context made once."""
        servable = seat.servable
        if not bare or not seat.adapters:
            return Lease(seat.engine, servable.active, servable.template, seat.adapters)
        async with seat.making_bare:
            if seat.bare is None:
                seat.bare = await seat.engine.beside({})
        return Lease(seat.bare, servable.active, servable.template)

    async def _checked(self, servable: Servable) -> list[Attachment]:
        """What is to be added, but for what is damaged: the status says so."""
        self._left_out = None
        wanted = []
        for one in await self._attachments(servable.active):
            try:
                await artefacts.check(one.file, one.sha256)
                wanted.append(one)
            except ShammahError as error:
                self._leave_out(one, error)
        return wanted

    async def _attach(self, engine: Engine, servable: Servable) -> list[Applied]:
        """Add to a new engine what can be added: an adapter must not keep the model from serving.

        Raises:
            EngineCrashed: the engine has ended.
        """
        added: list[Attachment] = []
        for one in await self._checked(servable):
            try:
                await engine.use_adapters(scales([*added, one]))
                added.append(one)
            except EngineCrashed:
                raise
            except EngineError as error:
                self._leave_out(one, error)
        return [one.applied for one in added]

    def _leave_out(self, one: Attachment, error: ShammahError) -> None:
        self._left_out = f"the adapter {one.applied.name} is not added: {error.message}"
        log.error("adapter left out", adapter=one.applied.name, problem=error.message)

    async def _start(self, servable: Servable) -> tuple[Engine, Sequence[Applied]]:
        """A new engine, warm, and what is added to it. One that still answers shares the cores.

        If it fails or nobody wants it any more, nothing of it stays.
        """
        old = self._seat.engine if self._seat and self._seat.engine.alive else None
        beside = [old] if old else []
        self._state = "loading" if self._seat is None else "swapping"
        await _share_cores(beside, shared=True)
        engine: Engine | None = None
        try:
            await artefacts.check(servable.gguf, servable.sha256)
            engine = await Engine.start(servable.gguf, self._config)
            await _share_cores([engine] if old else [], shared=True)
            adapters = await self._attach(engine, servable)
            await warm_up(engine, servable.template)
        except BaseException as error:
            self._state = "ready" if self._seat else "stopped"
            if isinstance(error, ShammahError):
                self._problem = error.message
                self._state = "ready" if old else "failed"
            if engine:
                self._spawn(engine.close())
            self._spawn(_share_cores(beside, shared=False))
            raise
        self._problem = None
        return engine, adapters

    def _install(self, servable: Servable, engine: Engine, adapters: Sequence[Applied]) -> None:
        """From here on `engine` answers, which may be the one that did so before."""
        old, self._seat = self._seat, Seat(servable, engine, adapters)
        if old is not None and old.engine is engine:
            self._seat.bare, old = old.bare, None
        if self._wanted != servable:
            self._remark = None
        self._wanted = servable
        self._state = "ready"
        log.info(
            "serving",
            base=servable.active.base,
            version=servable.active.version,
            adapters=[one.name for one in adapters],
        )
        if old is not None:
            old.retired = True
            if old.leases == 0:
                self._retire(old)
            else:
                self._retired.append(old)
                if not engine.shares_process_with(old.engine):
                    self._spawn(_share_cores((engine, old.engine), shared=True))

    async def _replace_in_place(self, servable: Servable) -> None:
        """Drain, stop, start: memory does not hold both. On failure the old file serves again."""
        seat = self._seat
        assert seat is not None
        self._state, self._draining = "swapping", True
        try:
            while seat.leases:
                self._drained.clear()
                await self._drained.wait()
            await _close(seat)
            self._install(servable, *await self._start(servable))
        finally:
            self._draining = False  # a failed start leaves a dead seat: the next request revives it

    def _retire(self, seat: Seat) -> None:
        self._retired = [one for one in self._retired if one is not seat]
        self._spawn(_close(seat))
        if self._seat and self._seat is not seat:
            self._spawn(_share_cores([self._seat.engine], shared=False))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def warm_up(engine: Engine, template: ChatTemplate) -> None:
    """Let the engine hold how every prompt begins: its first request need not compute that."""
    with contextlib.suppress(ShammahError):  # a request will say what is wrong
        hello = template.render([Message(role="user", content="Hello")])
        [prompt] = await engine.tokenize([hello], prompt=True)
        await engine.answer(prompt, Sampling(max_tokens=1))


async def _close(seat: Seat) -> None:
    for engine in [*([seat.bare] if seat.bare else []), seat.engine]:
        await engine.close()


async def _share_cores(engines: Iterable[Engine], *, shared: bool) -> None:
    for engine in engines:
        with contextlib.suppress(ShammahError):  # one that ends needs no cores
            await engine.share_cores(shared=shared)


def _memory(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
