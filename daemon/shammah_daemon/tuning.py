"""OpenAI's fine-tuning over Shammah's own examples and jobs. Knows no HTTP.

An uploaded file is kept as its lines until it is deleted. A job makes the lines into examples and
queues a lesson, which teaches all that is ready, as every lesson does. What a client sends again is
done once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath

import structlog

from shammah.errors import Conflict, UsageError
from shammah.feedback.lines import split
from shammah.options import TrainingConfig, resolved
from shammah.paths import Paths
from shammah.records import ExampleStatus, Job, JobState, Tuning, Upload
from shammah.store.database import Store
from shammah.training.saved import saved
from shammah_daemon.database import Database
from shammah_daemon.importing import Added, Importing, numbered
from shammah_daemon.supervisor import Supervisor
from shammah_daemon.tuning_objects import (
    CheckpointObject,
    EventObject,
    JobObject,
    TuningRequest,
    checkpoint_object,
    event_object,
    job_object,
)

log = structlog.get_logger()

#: A file's name is no path: nothing is ever opened by it.
NAME_LETTERS = 255

#: So many refused lines are named.
NAMED_LINES = 3

#: How long after a request the same one, said to be a retry, is that request: the `openai` SDK
#: waits ten minutes for an answer and tries three times.
RETRY = timedelta(minutes=30)


class FineTuning:
    """Takes files and requests for jobs, and shows jobs as OpenAI does."""

    def __init__(
        self,
        paths: Paths,
        config: TrainingConfig,
        database: Database,
        importing: Importing,
        supervisor: Supervisor,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._paths = paths
        self._config = config
        self._database = database
        self._importing = importing
        self._supervisor = supervisor
        self._now = now
        self._creating = asyncio.Lock()

    async def upload(self, filename: str, data: bytes) -> Upload:
        """Keep a file of examples; the same one under the same name is kept once.

        Raises:
            UsageError: a line is no example that could be taught; names the first of them.
        """
        name = PurePath(filename).name[:NAME_LETTERS]
        lines, digest = split(data), hashlib.sha256(data).hexdigest()
        read = await self._importing.read(numbered(lines), name)
        _require_whole(read.refused)
        return await self._database.run(
            lambda store: (
                store.uploads.same(name, digest)
                or store.uploads.add(
                    f"file-{secrets.token_hex(12)}", name, [line.decode() for line in lines], digest
                )
            )
        )

    async def delete(self, upload_id: str) -> None:
        """Remove a file. What was made of it stays, as examples. Raises NotFound."""
        await self._database.run(lambda store: _delete(store, upload_id))

    async def create(
        self, request: TuningRequest, idempotency_key: str | None, *, is_retry: bool
    ) -> JobObject:
        """Make a file's lines into examples and queue the lesson; once, however often it is asked.

        Raises:
            NotFound: no such file.
            UsageError: an option that no lesson takes, or a line that cannot be taught any more.
            Conflict: nothing of all that there is can be taught.
        """
        mode, manner = request.check(), request.manner
        resolved(self._config, manner.preset, manner.options)  # before anything is taken
        since = (self._now() - RETRY).isoformat(timespec="milliseconds") if is_retry else None
        async with self._creating:
            known = await self._database.run(
                lambda store: _known(store, request.digest, idempotency_key, since)
            )
            if known is not None:
                return await self.job(known.job_id)
            added = await self._take(request.training_file)
            job = await self._supervisor.submit(mode, manner=manner)
            tuning = Tuning(
                job_id=job.id,
                upload_id=request.training_file,
                model=request.model,
                suffix=request.suffix,
                metadata=request.metadata,
                request_sha256=request.digest,
                idempotency_key=idempotency_key,
                added=len(added.new),
                duplicates=added.duplicates,
                held=added.count(ExampleStatus.HELD),
            )
            await self._database.run(lambda store: store.tunings.add(tuning))
        log.info("fine-tuning job", job=job.id, added=tuning.added, duplicates=tuning.duplicates)
        return await asyncio.to_thread(self._object, job, tuning)

    async def job(self, job_id: int) -> JobObject:
        """Raises NotFound."""
        job, tuning = await self._database.run(
            lambda store: (store.jobs.get(job_id), store.tunings.of_job(job_id))
        )
        return await asyncio.to_thread(self._object, job, tuning)

    async def jobs(
        self, before: int | None, limit: int, metadata: Mapping[str, str]
    ) -> list[JobObject]:
        """All of Shammah's jobs of ids below `before`, newest first."""
        found = await self._database.run(lambda store: store.tunings.page(before, limit, metadata))
        return await asyncio.to_thread(lambda: [self._object(*one) for one in found])

    async def cancel(self, job_id: int) -> JobObject:
        """End a job; cancelled again, it stays cancelled.

        Raises:
            NotFound: no such job.
            Conflict: it has ended otherwise.
        """
        try:
            await self._supervisor.cancel(job_id)
        except Conflict:
            job = await self._database.run(lambda store: store.jobs.get(job_id))
            if job.state is not JobState.CANCELLED:
                raise
        return await self.job(job_id)

    async def pause(self, job_id: int) -> JobObject:
        """Stop a job until it is resumed.

        Raises:
            NotFound: no such job.
            Conflict: it has ended.
        """
        await self._supervisor.pause(job_id)
        return await self.job(job_id)

    async def resume(self, job_id: int) -> JobObject:
        """Let a paused job go on; resumed again, it goes on as it does.

        Raises:
            NotFound: no such job.
            Conflict: it has ended.
        """
        try:
            await self._supervisor.resume(job_id)
        except Conflict:
            await self._database.run(lambda store: store.jobs.require_unfinished(job_id))
        return await self.job(job_id)

    async def events(self, job_id: int, before: int | None, limit: int) -> list[EventObject]:
        """Newest first. Raises NotFound."""
        found = await self._database.run(
            lambda store: store.events.telling(store.jobs.get(job_id).id, before, limit)
        )
        return [event_object(event) for event in found]

    async def checkpoints(self, job_id: int) -> list[CheckpointObject]:
        """Those that are on disk, newest first: none after the job has ended. Raises NotFound."""
        await self._database.run(lambda store: store.jobs.get(job_id))
        found = await asyncio.to_thread(saved, self._paths.job(job_id))
        return [checkpoint_object(job_id, one) for one in found]

    async def _take(self, upload_id: str) -> Added:
        """Make the lines of a file into examples, those that no job has taken before."""
        upload, lines = await self._database.run(
            lambda store: (store.uploads.get(upload_id), store.uploads.lines(upload_id))
        )
        said = {line.id: line.text.encode() for line in lines if line.text.strip()}
        if not said:
            raise UsageError(
                f"the file {upload_id} holds nothing any more", hint="its examples were forgotten"
            )
        read = await self._importing.read(said, upload.filename)
        _require_whole({line.number: read.refused.get(line.id, "") for line in lines})
        added = Added.of(await self._database.run(lambda store: store.take(read.examples)))
        await self._importing.follow_up(added)
        return added

    def _object(self, job: Job, tuning: Tuning | None) -> JobObject:
        tokens = _trained_tokens(self._paths.job(job.id))
        return job_object(job, tuning, tokens, self._config.seed)


def refusal(refused: Sequence[tuple[int, str]]) -> str:
    """What is wrong with a file's lines: the first of them, and how many more."""
    named = "; ".join(f"line {number}: {problem}" for number, problem in refused[:NAMED_LINES])
    others = len(refused) - NAMED_LINES
    return f"{named} (and {others} more)" if others > 0 else named


def _require_whole(problems: Mapping[int, str]) -> None:
    refused = [(number, problem) for number, problem in sorted(problems.items()) if problem]
    if refused:
        raise UsageError(
            refusal(refused),
            hint='a line is {"messages": [...]}, the assistant\'s answer last; nothing was kept',
        )


def _known(
    store: Store, digest: str, idempotency_key: str | None, since: str | None
) -> Tuning | None:
    """What was asked already, if this is asked again."""
    same = store.tunings.by_key(idempotency_key) if idempotency_key else None
    if same is not None and same.request_sha256 != digest:
        raise UsageError(
            f"the Idempotency-Key {idempotency_key!r} belongs to another request",
            hint="send each request with a key of its own",
        )
    return same or store.tunings.repeated(digest, since)


def _delete(store: Store, upload_id: str) -> None:
    store.uploads.delete(upload_id)
    store.erasure.empty_log()


def _trained_tokens(folder: Path) -> int | None:
    file = folder / "train.json"
    return int(json.loads(file.read_bytes())["tokens"]) if file.exists() else None
