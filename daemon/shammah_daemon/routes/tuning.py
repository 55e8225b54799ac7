"""/v1/files and /v1/fine_tuning/jobs, in OpenAI's shapes."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Header, Query, Request, Response, UploadFile

from shammah.errors import NotFound, UsageError
from shammah_daemon.document import errors, raw
from shammah_daemon.services import Wired
from shammah_daemon.tuning_objects import (
    CheckpointObject,
    EventObject,
    FileDeleted,
    FileObject,
    JobObject,
    Page,
    TuningRequest,
    file_object,
    number_in,
    page_of,
)

router = APIRouter(tags=["fine-tuning"])

PURPOSE = "fine-tune"

_RAW = "application/octet-stream"

Limit = Annotated[int, Query(ge=1, le=1000)]

#: A file stays until it is deleted: what else a form may say (when it expires) means nothing.
_FIELDS = frozenset({"file", "purpose"})

_FILTER = re.compile(r"metadata\[(.+)\]")


@router.post("/v1/files", responses=errors(409, 507))
async def upload(
    request: Request, services: Wired, file: UploadFile, purpose: Annotated[str, Form()]
) -> FileObject:
    """Keep a file of examples, one JSON object a line; the same one is kept once."""
    if purpose != PURPOSE:
        raise UsageError(f"files of purpose {purpose!r} are not taken", hint=f"use {PURPOSE!r}")
    if unknown := set(await request.form()) - _FIELDS:
        raise UsageError(
            f"{min(unknown)!r} has no meaning here", hint="a file stays until it is deleted"
        )
    return file_object(await services.tuning.upload(file.filename or "", await file.read()))


@router.get("/v1/files", responses=errors(404))
async def files(
    services: Wired,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    purpose: str | None = None,
) -> Page[FileObject]:
    """Newest first."""
    if purpose not in (None, PURPOSE):
        return page_of([], limit)
    found = await services.database.run(
        lambda store: store.uploads.page(after, limit + 1, newest_first=order == "desc")
    )
    return page_of([file_object(one) for one in found], limit)


@router.get("/v1/files/{file_id}", responses=errors(404))
async def file(file_id: str, services: Wired) -> FileObject:
    """One file."""
    return file_object(await services.database.run(lambda store: store.uploads.get(file_id)))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=Response,
    responses=raw(_RAW) | errors(404),
)
async def content(file_id: str, services: Wired) -> Response:
    """Its lines as they were given, without those that were forgotten."""
    lines = await services.database.run(
        lambda store: store.uploads.lines(store.uploads.get(file_id).id)
    )
    return Response("".join(line.text for line in lines), media_type=_RAW)


@router.delete("/v1/files/{file_id}", responses=errors(404, 507))
async def delete_file(file_id: str, services: Wired) -> FileDeleted:
    """Remove a file; examples that were made of it stay."""
    await services.tuning.delete(file_id)
    return FileDeleted(id=file_id)


@router.post("/v1/fine_tuning/jobs", responses=errors(404, 409, 507))
async def create(
    request: TuningRequest,
    services: Wired,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
    x_stainless_retry_count: Annotated[int, Header(ge=0)] = 0,
) -> JobObject:
    """Make a file's lines into examples and queue a lesson; asked again, the same one."""
    return await services.tuning.create(
        request, idempotency_key, is_retry=x_stainless_retry_count > 0
    )


@router.get("/v1/fine_tuning/jobs", responses=errors(404))
async def jobs(
    request: Request, services: Wired, after: str | None = None, limit: Limit = 20
) -> Page[JobObject]:
    """Every job, newest first, also those that no file began; `metadata[key]=value` filters."""
    wanted = {
        found[1]: value
        for key, value in request.query_params.items()
        if (found := _FILTER.fullmatch(key))
    }
    before = number_in(after, "ftjob") if after else None
    return page_of(await services.tuning.jobs(before, limit + 1, wanted), limit)


@router.get("/v1/fine_tuning/jobs/{fine_tuning_job_id}", responses=errors(404))
async def job(fine_tuning_job_id: str, services: Wired) -> JobObject:
    """One job."""
    return await services.tuning.job(number_in(fine_tuning_job_id, "ftjob"))


@router.post("/v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel", responses=errors(404, 409, 507))
async def cancel(fine_tuning_job_id: str, services: Wired) -> JobObject:
    """End a job; the active version stays."""
    return await services.tuning.cancel(number_in(fine_tuning_job_id, "ftjob"))


@router.post("/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause", responses=errors(404, 409, 507))
async def pause(fine_tuning_job_id: str, services: Wired) -> JobObject:
    """Stop a job where it is, until it is resumed; jobs behind it wait."""
    return await services.tuning.pause(number_in(fine_tuning_job_id, "ftjob"))


@router.post("/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume", responses=errors(404, 409, 507))
async def resume(fine_tuning_job_id: str, services: Wired) -> JobObject:
    """Let a paused job go on from where it was."""
    return await services.tuning.resume(number_in(fine_tuning_job_id, "ftjob"))


@router.get("/v1/fine_tuning/jobs/{fine_tuning_job_id}/events", responses=errors(404))
async def events(
    fine_tuning_job_id: str, services: Wired, after: str | None = None, limit: Limit = 20
) -> Page[EventObject]:
    """Changes of state, and training steps as metrics; newest first."""
    before = number_in(after, "ftevent") if after else None
    found = await services.tuning.events(number_in(fine_tuning_job_id, "ftjob"), before, limit + 1)
    return page_of(found, limit)


@router.get("/v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints", responses=errors(404))
async def checkpoints(
    fine_tuning_job_id: str, services: Wired, after: str | None = None, limit: Limit = 10
) -> Page[CheckpointObject]:
    """The checkpoints that are on disk, newest first."""
    found = await services.tuning.checkpoints(number_in(fine_tuning_job_id, "ftjob"))
    if after:
        ids = [one.id for one in found]
        if after not in ids:
            raise NotFound(f"there is no checkpoint {after!r}", hint="older ones are removed")
        found = found[ids.index(after) + 1 :]
    return page_of(found, limit)
