"""Forgets an example: its words at once, what the model learned from them with the next lesson.

Knows no HTTP.

Files first, then the database: interrupted, the example is not forgotten yet and its words are
still known, so that forgetting it again finds them all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from shammah.errors import BaseModelError, Conflict, EngineError, Shortage
from shammah.feedback.phrasings import held_out, rephrased
from shammah.files import write_atomically
from shammah.gate.forgotten import ForgottenCase
from shammah.paths import Paths
from shammah.protocol import ForgetReceipt
from shammah.records import Active, Cause, Example, ExampleStatus, Job, JobState, Mode
from shammah.repl import history
from shammah.store.database import Store
from shammah.store.erasure import Erased, Texts
from shammah.training.spec import JobSpec
from shammah_daemon.bases import Bases
from shammah_daemon.chat import Chat, prompt_tokens
from shammah_daemon.database import Database
from shammah_daemon.models import Models
from shammah_daemon.serving import Serving
from shammah_daemon.supervisor import Supervisor
from shammah_daemon.unlearned import Unlearned

log = structlog.get_logger()


class Forgetting:
    """Takes an example out of everything."""

    def __init__(
        self,
        paths: Paths,
        database: Database,
        serving: Serving,
        models: Models,
        supervisor: Supervisor,
        bases: Bases,
        unlearned: Unlearned,
        chat: Chat,
    ) -> None:
        self._paths = paths
        self._database = database
        self._serving = serving
        self._models = models
        self._supervisor = supervisor
        self._bases = bases
        self._unlearned = unlearned
        self._chat = chat

    async def forget(self, example_id: int, *, now: bool) -> ForgetReceipt:
        """Erase an example's words, and see to it that no later version was taught it.

        Args:
            now: start the lesson that unlearns it, if one is needed.

        Raises:
            NotFound: no such example.
            StorageError: its words are gone from every row, but another program keeps the
                database's log from being emptied.
        """
        example = await self._database.run(lambda store: store.examples.get(example_id))
        texts = await self._database.run(lambda store: store.erasure.texts(example))
        await self._keep_case(example)
        stopped = await self._stop_teaching(example)
        await self._supervisor.tidy()
        await asyncio.to_thread(cut_from_history, self._paths, texts)
        with self._chat.forgetting(texts):
            erased = await self._database.run(lambda store: _erase(store, example_id, texts))
        # Between those two a job that was queued behind may have begun with the old words.
        stopped += await self._stop_teaching(example)
        await self._supervisor.tidy()
        moved = await self._leave_if_empty(example_id)
        job = await self._teach_the_rest(example_id, now, stopped)
        log.info("example forgotten", example=example_id, turns=len(erased.turn_ids))
        return await self._receipt(example_id, erased, job, moved)

    async def _keep_case(self, example: Example) -> None:
        """What the judge needs to prove that it is forgotten: in memory, nowhere else."""
        knows = await self._database.run(lambda store: _knows(store, example.id))
        if not knows or not example.target:
            return
        try:
            async with self._serving.lease() as lease:
                asked = [
                    example.messages,
                    *(rephrased(example.messages, p) for p in held_out(example.question)),
                ]
                prompts = [await prompt_tokens(lease, messages) for messages in asked]
                _, closed = await asyncio.to_thread(
                    lease.template.render_with_target, example.messages, example.target
                )
                [target] = await lease.engine.tokenize_targets([closed])
        except (BaseModelError, EngineError):
            return  # forgetting needs no engine; only the proof does
        self._unlearned.add(ForgottenCase(example.id, lease.active.base, prompts, target))

    async def _stop_teaching(self, example: Example) -> list[Job]:
        """Cancel the jobs that teach the example, or may; return them."""
        unfinished, knowing = await self._database.run(
            lambda store: (store.jobs.unfinished(), store.versions.taught_to(example.id))
        )
        teaching = [job for job in unfinished if self._may_teach(job, example.id, knowing)]
        for job in teaching:
            with contextlib.suppress(Conflict):  # it has just ended
                await self._supervisor.cancel(job.id)
        return teaching

    def _may_teach(self, job: Job, example_id: int, knowing: Sequence[int]) -> bool:
        """A job that has begun and has not chosen yet may be about to; a quick one inherits what
        the version knows that it goes on from.

        Args:
            knowing: the versions that were taught the example.
        """
        file = self._paths.job(job.id) / "job.json"
        if not file.exists():
            return job.state is not JobState.QUEUED
        spec = JobSpec.load(file)
        own = any(example["id"] == example_id for example in spec.examples)
        return own or spec.start_version in knowing

    async def _leave_if_empty(self, example_id: int) -> bool:
        """Serve the base if the active version holds nothing else that is still wanted."""
        active = await self._database.run(lambda store: _base_if_empty(store, example_id))
        if active is None:
            return False
        await self._models.serve(active)
        self._unlearned.clear()
        return True

    async def _teach_the_rest(
        self, example_id: int, now: bool, stopped: Sequence[Job]
    ) -> Job | None:
        """Begin what was stopped again, without the example: a move to another base stays one, and
        what nobody asked for still waits until the machine is quiet."""
        for job in stopped:
            if job.mode is Mode.MOVE:
                return await self._supervisor.move(self._bases.get(job.base))
        needed = await self._database.run(lambda store: _needs_lesson(store, example_id))
        if not needed or not (now or stopped):
            return None
        by_user = now or any(job.cause is Cause.USER for job in stopped)
        cause = Cause.USER if by_user else stopped[0].cause
        try:
            return await self._supervisor.submit(Mode.CONSOLIDATE, cause)
        except Shortage as error:  # the words are gone all the same
            log.warning("no lesson unlearns it yet", example=example_id, problem=error.message)
            return None

    async def _receipt(
        self, example_id: int, erased: Erased, job: Job | None, moved: bool
    ) -> ForgetReceipt:
        active, knowing = await self._database.run(
            lambda store: (store.pointer.active(), store.versions.taught_to(example_id))
        )
        number = active.version if active else 0
        receipt = ForgetReceipt(
            example_id=example_id,
            inference_ids=erased.turn_ids,
            also_in=erased.also_in,
            active_version=number if number in knowing else None,
            versions=knowing,
            job_id=job.id if job else None,
            message="",
        )
        return receipt.model_copy(update={"message": message(receipt, moved)})


def cut_from_history(paths: Paths, texts: Texts) -> None:
    """Take out of the input history what the user typed of the texts."""
    file = paths.history
    if not file.exists():
        return
    before = file.read_text(encoding="utf-8", errors="surrogateescape")
    after = history.without(before, texts.are_in)
    if after != before:
        write_atomically(file, after.encode("utf-8", errors="surrogateescape"))


def message(receipt: ForgetReceipt, moved: bool) -> str:
    """What was done, and plainly what is not done yet."""
    number = receipt.example_id
    parts = [f"Example {number} is forgotten: its words are erased and it is never taught again."]
    if receipt.active_version is not None:
        parts.append(f"Version {receipt.active_version}, which answers now, was taught it")
        parts[-1] += (
            f" and knows it until job {receipt.job_id} has replaced it."
            if receipt.job_id
            else " and knows it until a lesson has replaced it: /train, or --now."
        )
    elif moved:
        parts.append("Nothing else that was taught is left: the base answers now.")
    elif receipt.job_id:
        parts.append(f"Job {receipt.job_id} teaches the rest.")
    others = [one for one in receipt.versions if one != receipt.active_version]
    if others:
        parts.append(f"Older versions that were taught it: {_listed(others)}.")
    if receipt.also_in:
        parts.append(
            f"Some of its words are also in example {_listed(receipt.also_in)}, which stays."
        )
    return " ".join(parts)


def unlearned(store: Store) -> tuple[list[int], list[int]]:
    """Forgotten examples that the active version was taught, and the other versions that know
    forgotten ones which it does not."""
    active = store.pointer.active()
    knowing = store.versions.with_forgotten()
    known = knowing.pop(active.version, []) if active else []
    return known, [number for number, ids in knowing.items() if not set(ids) <= set(known)]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _erase(store: Store, example_id: int, texts: Texts) -> Erased:
    erased = store.erasure.erase(example_id, texts)
    store.erasure.compact()
    return erased


def _knows(store: Store, example_id: int) -> bool:
    """Whether the active version was taught the example."""
    active = store.pointer.active()
    return active is not None and active.version in store.versions.taught_to(example_id)


def _needs_lesson(store: Store, example_id: int) -> bool:
    """Whether a lesson would change what the active version knows."""
    active = store.pointer.active()
    if active is None or not store.examples.counts()[ExampleStatus.READY]:
        return False
    return _knows(store, example_id) or store.examples.count_waiting(active) > 0


def _base_if_empty(store: Store, example_id: int) -> Active | None:
    """The base, if the active version was taught the example and nothing that is still ready."""
    active = store.pointer.active()
    if active is None or not _knows(store, example_id):
        return None
    ready = {example.id for example in store.examples.ready()}
    return None if ready & store.versions.taught(active.version).keys() else Active(active.base, 0)
