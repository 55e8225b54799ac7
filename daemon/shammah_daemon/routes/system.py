"""/health, /api/status and /api/bases."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sse_starlette import EventSourceResponse

from shammah import __version__
from shammah.errors import NotFound
from shammah.protocol import (
    AddBaseEvent,
    AddBaseProgress,
    AddBaseRequest,
    AppliedView,
    BaseView,
    DiskView,
    ForecastView,
    Health,
    Integrity,
    JobView,
    Listing,
    Status,
    UseBaseRequest,
)
from shammah.records import Active, Base, ExampleStatus, Job
from shammah.store.database import Store
from shammah_daemon import disk
from shammah_daemon.aftercare import proposal
from shammah_daemon.bases import ignore_progress
from shammah_daemon.document import STREAM, errors, raw
from shammah_daemon.forgetting import unlearned
from shammah_daemon.inbox import count
from shammah_daemon.learning import fresh_count, waiting_count
from shammah_daemon.metrics import Snapshot
from shammah_daemon.routes.jobs import job_view
from shammah_daemon.routes.replies import sse, unless_gone
from shammah_daemon.schedule.forecast import shortage
from shammah_daemon.services import Services, Wired
from shammah_daemon.stages import Progress

router = APIRouter(tags=["system"])


@router.get("/health")
async def health() -> Health:
    """Whether the daemon runs; says nothing about the user."""
    return Health(pid=os.getpid(), version=__version__)


@router.get(
    "/metrics",
    response_class=Response,
    responses=raw(CONTENT_TYPE_LATEST),
)
async def metrics(services: Wired) -> Response:
    """Counts and times for Prometheus; holds no text and no id."""
    active, examples, jobs = await services.database.run(
        lambda store: (store.pointer.active(), store.examples.counts(), store.jobs.counts())
    )
    now = Snapshot(
        engine=services.serving.status().state,
        version=active.version if active else 0,
        examples=examples,
        jobs=jobs,
        database_bytes=_database_bytes(services.paths.database),
    )
    return Response(services.metrics.render(now), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/status")
async def status(services: Wired) -> Status:
    """Everything at a glance."""
    active, counts, waiting, fresh, unfinished, last = await services.database.run(_glance)
    inbox, (unlearning, obsolete) = await services.database.run(
        lambda store: (count(store), unlearned(store))
    )
    threshold = services.config.learning.threshold_examples
    base = _known(services, active)
    taken = await asyncio.to_thread(disk.measure, services.paths)
    night = services.scheduler.next_night
    job = next(iter(unfinished), None)
    return Status(
        version=__version__,
        pid=os.getpid(),
        uptime_seconds=time.monotonic() - services.started,
        base=active.base if active else None,
        active_version=active.version if active else 0,
        adapters=[AppliedView.model_validate(one) for one in services.serving.adapters],
        engine=services.serving.status(),
        examples={status: counts.get(status, 0) for status in ExampleStatus},
        inbox=inbox,
        unlearning=unlearning,
        obsolete=obsolete,
        waiting=waiting,
        missing=max(threshold - fresh, 0),
        threshold=threshold,
        job=_view(job),
        waits=services.supervisor.waits(job) if job else None,
        next_night=night.isoformat() if night else None,
        disk=DiskView.model_validate(taken),
        forecast=await asyncio.to_thread(_forecast, services, base) if base else None,
        last_job=_view(last),
        preparation=_base_view(base, services, active) if base else None,
        proposal=await services.database.run(proposal),
        home=str(services.paths.data_dir),
        log_file=str(services.paths.log_file),
    )


@router.get("/api/integrity")
async def integrity(services: Wired) -> Integrity:
    """Read all of the database; what is wrong with it."""
    return Integrity(problems=await services.database.run(lambda store: store.integrity_check()))


@router.get("/api/bases")
async def bases(services: Wired) -> Listing[BaseView]:
    """Every base model."""
    active = await services.database.run(lambda store: store.pointer.active())
    found = [services.bases.get(name) for name in services.bases.names()]
    return Listing(data=[_base_view(base, services, active) for base in found])


@router.post(
    "/api/bases", response_model=BaseView, responses=STREAM | errors(404, 409, 502, 503, 507)
)
async def add_base(
    request: AddBaseRequest, services: Wired, http: Request
) -> BaseView | EventSourceResponse:
    """Check a GGUF and register it; what it needs to be taught is made in the background.

    `hf:OWNER/NAME` is fetched from the Hugging Face hub first. Who closes the connection ends that;
    the same request goes on with what has arrived."""
    if request.stream:
        return sse(_adding(request, services))
    return await unless_gone(http, _added(request, services, ignore_progress))


async def _added(request: AddBaseRequest, services: Services, on_progress: Progress) -> BaseView:
    base = await services.bases.add(request, on_progress)
    services.bases.begin_groundwork(base)
    active = await services.database.run(lambda store: store.pointer.active())
    return _base_view(base, services, active)


async def _adding(request: AddBaseRequest, services: Services) -> AsyncGenerator[str, None]:
    """`AddBaseEvent`s as JSON text."""
    events: asyncio.Queue[AddBaseEvent | None] = asyncio.Queue()

    async def tell(fields: dict[str, Any]) -> None:
        if "done_bytes" in fields:
            events.put_nowait(AddBaseEvent(progress=AddBaseProgress(**fields)))

    work = asyncio.create_task(_added(request, services, tell))
    work.add_done_callback(lambda _work: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event.model_dump_json(exclude={"base"})
        yield AddBaseEvent(base=work.result()).model_dump_json(exclude={"progress"})
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@router.post("/api/bases/{name}/use", responses=errors(404, 409, 503, 507))
async def use_base(name: str, services: Wired, request: UseBaseRequest | None = None) -> BaseView:
    """Serve a base: at once, or when the job has ended that teaches it what was taught."""
    job = await services.models.use_base(name, now=request is not None and request.now)
    active = await services.database.run(lambda store: store.pointer.active())
    view = _base_view(services.bases.get(name), services, active)
    return view.model_copy(update={"job_id": job.id if job else None})


@router.delete("/api/bases/{name}", status_code=204, responses=errors(404, 409, 507))
async def remove_base(name: str, services: Wired) -> Response:
    """Forget a base. A GGUF that was given by its path stays; one from the hub goes."""
    await services.models.remove_base(name)
    return Response(status_code=204)


def _database_bytes(database: Path) -> int:
    """The file and its write-ahead log."""
    log = database.with_name(f"{database.name}-wal")
    return sum(file.stat().st_size for file in (database, log) if file.exists())


def _glance(
    store: Store,
) -> tuple[Active | None, dict[ExampleStatus, int], int, int, list[Job], Job | None]:
    return (
        store.pointer.active(),
        store.examples.counts(),
        waiting_count(store),
        fresh_count(store),
        store.jobs.unfinished(),
        store.jobs.last_finished(),
    )


def _known(services: Services, active: Active | None) -> Base | None:
    """The active base; None also where its folder is gone: the status must still be told."""
    if active is None:
        return None
    try:
        return services.bases.get(active.base)
    except NotFound:
        return None


def _forecast(services: Services, base: Base) -> ForecastView:
    wanted, room = services.conditions.forecast(base.name), services.conditions.room
    return ForecastView(
        disk_bytes=wanted.disk_bytes,
        memory_bytes=wanted.memory_bytes,
        disk_free_bytes=room.disk_free_bytes,
        memory_available_bytes=room.memory_available_bytes,
        memory_total_bytes=room.memory_total_bytes,
        shortage=shortage(wanted, room),
    )


def _view(job: Job | None) -> JobView | None:
    return job_view(job) if job else None


def _base_view(base: Base, services: Services, active: Active | None) -> BaseView:
    prepared, problem = services.bases.prepared(base.name)
    view = BaseView.model_validate(base, from_attributes=True)
    return view.model_copy(
        update={
            "active": active is not None and active.base == base.name,
            "prepared": prepared,
            "problem": problem,
        }
    )
