"""/api/jobs and /api/versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from shammah.errors import NotFound
from shammah.options import Manner
from shammah.protocol import (
    CompareRequest,
    Comparison,
    Id,
    JobEvent,
    JobView,
    Listing,
    PlanView,
    PruneReceipt,
    PruneRequest,
    PushReceipt,
    PushRequest,
    RollbackRequest,
    StepView,
    TrainRequest,
    VersionView,
    VoteRequest,
    VotesView,
)
from shammah.records import Active, Job
from shammah.store.database import Store
from shammah_daemon import disk
from shammah_daemon.document import EVENTS, errors
from shammah_daemon.outcome import summary_of
from shammah_daemon.services import Services, Wired

router = APIRouter(tags=["jobs"])

#: The id of the event that a listener has seen last.
After = Annotated[int, Query(ge=-1, lt=2**63)]


@router.get("/api/jobs")
async def jobs(
    services: Wired, limit: Annotated[int, Query(ge=1, le=1000)] = 100, untold: bool = False
) -> Listing[JobView]:
    """Newest first; with `untold` those of whose end the user was not told, oldest first."""
    found = await services.database.run(
        lambda store: store.jobs.untold() if untold else store.jobs.list(limit)
    )
    return Listing(data=[job_view(job) for job in found])


@router.post("/api/jobs", responses=errors(409, 507))
async def train(request: TrainRequest, services: Wired) -> JobView:
    """Queue a lesson now; an unfinished one that teaches the same in the same way is returned
    instead."""
    manner = Manner(request.preset, request.options)
    return job_view(await services.supervisor.submit(request.mode, manner=manner))


@router.post("/api/plan", responses=errors(404))
async def plan(request: TrainRequest, services: Wired) -> PlanView:
    """How such a lesson on the active base would compute on this machine, why, and what it would
    take. Nothing is begun."""
    active = await services.database.run(lambda store: store.pointer.active())
    if active is None:
        raise NotFound("no model is set up", hint="add one with 'shammah model add PATH.gguf'")
    manner = Manner(request.preset, request.options)
    return await services.estimates.plan(active.base, request.mode, manner)


@router.get("/api/jobs/events", response_class=EventSourceResponse, responses=EVENTS)
async def all_events(services: Wired, after: After = -1) -> EventSourceResponse:
    """Events of all jobs from now on, without an end; those after the given id are replayed first,
    all with 0. Of a job that has ended only the newest progress of each step is kept."""
    return EventSourceResponse(_events(services, None, after))


@router.get("/api/jobs/{job_id}", responses=errors(404))
async def job(job_id: Id, services: Wired) -> JobView:
    """One job."""
    return job_view(await services.database.run(lambda store: store.jobs.get(job_id)))


@router.get("/api/jobs/{job_id}/steps", responses=errors(404))
async def steps(job_id: Id, services: Wired) -> Listing[StepView]:
    """What every optimizer step of the job has logged; nothing before training."""
    await services.database.run(lambda store: store.jobs.get(job_id))
    log = services.paths.job(job_id) / "log.jsonl"
    return Listing(data=await asyncio.to_thread(_logged, log))


@router.get("/api/jobs/{job_id}/states", responses=errors(404))
async def states(job_id: Id, services: Wired) -> Listing[JobEvent]:
    """The states that the job has entered so far, as events of kind "state"."""
    await services.database.run(lambda store: store.jobs.get(job_id))
    return Listing(data=await services.hub.states(job_id))


@router.post("/api/jobs/{job_id}/told", responses=errors(404, 507))
async def told(job_id: Id, services: Wired) -> JobView:
    """The user was told how the job ended: do not say it again."""
    return job_view(await services.database.run(lambda store: store.jobs.tell(job_id)))


@router.get(
    "/api/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses=EVENTS | errors(404),
)
async def job_events(job_id: Id, services: Wired, after: After = 0) -> EventSourceResponse:
    """Events of one job until it ends."""
    await services.database.run(lambda store: store.jobs.get(job_id))
    return EventSourceResponse(_events(services, job_id, after))


@router.post("/api/jobs/{job_id}/cancel", responses=errors(404, 409, 507))
async def cancel(job_id: Id, services: Wired) -> JobView:
    """End an unfinished job; the active version stays."""
    return job_view(await services.supervisor.cancel(job_id))


@router.post("/api/jobs/{job_id}/pause", responses=errors(404, 409, 507))
async def pause(job_id: Id, services: Wired) -> JobView:
    """Stop an unfinished job where it is, until it is resumed; jobs behind it wait."""
    return job_view(await services.supervisor.pause(job_id))


@router.post("/api/jobs/{job_id}/resume", responses=errors(404, 409, 507))
async def resume(job_id: Id, services: Wired) -> JobView:
    """Let a paused job go on from where it was."""
    return job_view(await services.supervisor.resume(job_id))


@router.get("/api/versions")
async def versions(services: Wired) -> Listing[VersionView]:
    """Newest first; the last one is version 0, the base itself."""
    return Listing(data=await _version_views(services))


@router.get("/api/versions/{number}", responses=errors(404))
async def version(number: Id, services: Wired) -> VersionView:
    """One version with its manifest and report."""
    views = await _version_views(services)
    found = next((view for view in views if view.number == number), None)
    if found is None:
        raise NotFound(f"no version {number}", hint="'shammah versions list' shows them")
    return found


@router.delete("/api/versions/{number}", status_code=204, responses=errors(404, 409, 507))
async def delete_version(number: Id, services: Wired) -> Response:
    """Remove a version that does not serve, with its files."""
    await services.models.delete_version(number)
    return Response(status_code=204)


@router.post("/api/versions/{number}/push", responses=errors(404, 409, 502, 507))
async def push(number: Id, request: PushRequest, services: Wired) -> PushReceipt:
    """Put a version's adapter into a repository on the Hugging Face hub, a private one by
    default; it is made if there is none."""
    return await services.pushing.push_version(number, request)


@router.post("/api/versions/rollback", responses=errors(404, 409, 503, 507))
async def rollback(request: RollbackRequest, services: Wired) -> VersionView:
    """Serve another version: the given one, or the one that was active before."""
    active = await services.models.rollback(request.version)
    return await version(active.version, services)


@router.post("/api/versions/prune", responses=errors(404, 409, 507))
async def prune(request: PruneRequest, services: Wired) -> PruneReceipt:
    """Remove the files of versions that are not worth their disk; they stay in the list."""
    act = services.pruning.plan if request.dry_run else services.pruning.prune
    return PruneReceipt.model_validate(await act(request.keep), from_attributes=True)


@router.post("/api/versions/compare", responses=errors(404, 409, 503))
async def compare(request: CompareRequest, services: Wired) -> Comparison:
    """What two versions answer to the same question; nothing of it is kept."""
    return await services.comparing.compare(request)


@router.post("/api/versions/votes", status_code=204, responses=errors(404, 409, 507))
async def vote(request: VoteRequest, services: Wired) -> Response:
    """Record which answer of a comparison was better."""
    await services.comparing.vote(request)
    return Response(status_code=204)


async def _events(
    services: Services, job_id: int | None, after: int
) -> AsyncGenerator[ServerSentEvent, None]:
    async for event in services.hub.follow(job_id, after):
        yield ServerSentEvent(data=event.model_dump_json(), id=str(event.id), event=event.kind)


def _logged(path: Path) -> list[StepView]:
    """Whole lines only: the newest may be half written."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [StepView.model_validate_json(line) for line in lines if line.endswith("\n")]


def job_view(job: Job) -> JobView:
    view = JobView.model_validate(job, from_attributes=True)
    return view.model_copy(update={"summary": summary_of(job)})


async def _version_views(services: Services) -> list[VersionView]:
    taken = (await asyncio.to_thread(disk.measure, services.paths)).by_version
    views = await services.database.run(lambda store: _versions(store, services))
    return [view.model_copy(update={"disk_bytes": taken.get(view.number, 0)}) for view in views]


def _versions(store: Store, services: Services) -> list[VersionView]:
    active = store.pointer.active() or Active("", 0)
    views = [
        VersionView.model_validate(item, from_attributes=True).model_copy(
            update={
                "active": item.number == active.version,
                "summary": item.report.get("summary", ""),
                "votes": _votes(store, Active(item.base, item.number)),
            }
        )
        for item in store.versions.list()
    ]
    if active.base:
        base = services.bases.get(active.base)
        views.append(
            VersionView(
                number=0,
                base=base.name,
                active=active.version == 0,
                quantization=base.quantization,
                size_bytes=base.size_bytes,
                sha256=base.sha256,
                created_at="",
                summary="the base itself",
                votes=_votes(store, Active(base.name, 0)),
            )
        )
    return views


def _votes(store: Store, version: Active) -> VotesView:
    return VotesView.model_validate(store.votes.of(version), from_attributes=True)
