"""Feedback in, examples out, and when the next lesson is due. Knows no HTTP and trains nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from shammah.config import Config
from shammah.engine.requests import Sampling
from shammah.errors import BaseModelError, Conflict, EngineError, NotFound, UsageError
from shammah.feedback.commands import UNMARKED, FeedbackCommand, FixCommand, strip_exchanges
from shammah.feedback.context import context_of
from shammah.feedback.drafts import choose, draft_messages
from shammah.feedback.levels import weight_of
from shammah.feedback.secrets import secrets_in
from shammah.feedback.targets import resolve, retarget
from shammah.protocol import Draft, FeedbackReceipt, FeedbackRequest, FixRequest
from shammah.records import (
    Active,
    Cause,
    Example,
    ExampleStatus,
    Job,
    JobState,
    Level,
    Message,
    Mode,
    Turn,
)
from shammah.store.database import Store
from shammah.store.turns import FORGOTTEN
from shammah_daemon.aftercare import Aftercare
from shammah_daemon.anticipation import Anticipation
from shammah_daemon.chat import prompt_tokens
from shammah_daemon.database import Database
from shammah_daemon.schedule.nights import worth_a_night
from shammah_daemon.serving import Serving
from shammah_daemon.twins import compare, same_target

log = structlog.get_logger()

#: Longest draft of a target.
DRAFT_TOKENS = 256

StartJob = Callable[[Mode, Cause], Awaitable[Job]]


class Learning:
    """Records feedback and starts a lesson when enough has come together."""

    def __init__(
        self,
        config: Config,
        database: Database,
        serving: Serving,
        aftercare: Aftercare,
        anticipation: Anticipation,
        start_job: StartJob,
        waits: Callable[[Job], str | None],
    ) -> None:
        self._config = config
        self._aftercare = aftercare
        self._database = database
        self._serving = serving
        self._anticipation = anticipation
        self._start_job = start_job
        self._waits = waits

    async def feedback(self, request: FeedbackRequest) -> FeedbackReceipt:
        """Record feedback on an answer; durable when this returns.

        Raises:
            NotFound: no such answer, or none at all yet.
            UsageError: an empty correction, one equal to the answer, or one that does not fit.
        """
        turn = await self._turn(request.inference_id)
        if (
            request.level is Level.GOOD
            and request.correction is None
            and turn.finish_reason != "stop"
        ):
            raise UsageError(
                "this answer was cut off before its end: it cannot be taught as it is",
                hint="ask again for a whole one, or give the correction",
            )
        former = await self._database.run(lambda store: store.examples.of_turn(turn.id))
        resolved = resolve(request.level, turn.answer, request.correction, former)
        messages = context_of(turn.messages)
        if resolved.target is not None:
            await self._check_length(messages, resolved.target)
        weight = weight_of(request.level, self._config.learning)
        secrets = secrets_in(messages, resolved.target, request.note)
        feedback, example = await self._database.run(
            lambda store: store.record_feedback(
                turn.id, request.level, weight, request.note, request.correction,
                messages=messages, status=guarded(resolved.status, secrets),
                target=resolved.target, rejected=resolved.rejected,
            )
        )  # fmt: skip
        remark = "" if request.level is Level.GOOD else await self._aftercare.look()
        receipt = await self._receipt(example, feedback.id, secrets)
        return receipt.model_copy(update={"message": f"{receipt.message}\n{remark}".rstrip()})

    async def fix(self, request: FixRequest) -> FeedbackReceipt:
        """Set the target of an example, of an answer's, or of the one that the newest feedback
        made. An answer that was not marked before is marked by this.

        Raises:
            NotFound: no such example or answer, or no feedback yet.
            UsageError: the correction cannot be a target.
        """
        example = await self._database.run(lambda store: _fixed(store, request))
        if example is None:
            return await self.feedback(
                FeedbackRequest(
                    inference_id=request.inference_id,
                    level=UNMARKED,
                    correction=request.correction,
                )
            )
        target = retarget(example, request.correction)
        await self._check_length(example.messages, target)
        secrets = secrets_in(example.messages, target, example.note)
        status = guarded(ExampleStatus.READY, secrets)
        example = await self._database.run(
            lambda store: store.examples.set_target(example.id, target, status)
        )
        return await self._receipt(example, None, secrets)

    async def allow(self, example_id: int) -> FeedbackReceipt:
        """The user's word that an example may be learned although it may hold a secret.

        Raises:
            Conflict: it is not held.
        """
        example = await self._database.run(lambda store: _allow(store, example_id))
        return await self._receipt(example, None, [])

    async def command(
        self, command: FeedbackCommand | FixCommand, history: list[Message]
    ) -> FeedbackReceipt:
        """In-band feedback: a chat message of any client, about the answer before it; where a
        client sends none along, about the newest.

        Raises:
            NotFound: that answer is not known, or a `/fix` without one comes before any feedback.
        """
        conversation = strip_exchanges(history)
        turn = await self._database.run(lambda store: _answered(store, conversation))
        if isinstance(command, FeedbackCommand):
            return await self.feedback(
                FeedbackRequest(
                    inference_id=turn.id if turn else None, level=command.level, note=command.note
                )
            )
        return await self.fix(
            FixRequest(correction=command.answer, inference_id=turn.id if turn else None)
        )

    async def draft(self, example_id: int) -> Draft:
        """A proposal for the target: the user's note where it states the answer, else the model's
        second try with the note before its eyes.

        Raises:
            NotFound: no such example.
            Conflict: it was forgotten.
        """
        example = await self._database.run(lambda store: store.examples.get(example_id))
        if example.status is ExampleStatus.FORGOTTEN:
            raise Conflict(f"example {example_id} was forgotten: nothing is left to answer")
        proposal = choose(example.note, "", example.rejected)
        if proposal.source == "none":
            second_try = await self._second_try(example)
            proposal = choose(example.note, second_try, example.rejected)
        return Draft(example_id=example_id, text=proposal.text, source=proposal.source)

    async def start_if_due(self) -> Job | None:
        """Start a lesson if the threshold is reached and none is under way."""
        fresh, ready, unfinished = await self._database.run(
            lambda store: (
                fresh_count(store),
                store.examples.counts()[ExampleStatus.READY],
                store.jobs.unfinished(),
            )
        )
        if unfinished or not ready or fresh < self._config.learning.threshold_examples:
            return None
        return await self._start_job(Mode(self._config.learning.threshold_mode), Cause.THRESHOLD)

    async def teach_at_night(self) -> bool:
        """Start the night's lesson, if there is anything to teach; whether the night is dealt with.
        While another lesson is under way it is not: what that one leaves is taught after it."""
        ready, fresh, quick, unfinished = await self._database.run(
            lambda store: (
                store.examples.counts()[ExampleStatus.READY],
                fresh_count(store),
                quick_since(store),
                store.jobs.unfinished(),
            )
        )
        if unfinished:
            return False
        if worth_a_night(ready, fresh, quick):
            await self._start_job(Mode.CONSOLIDATE, Cause.NIGHT)
        return True

    async def _turn(self, turn_id: str | None) -> Turn:
        if turn_id is not None:
            named = await self._database.run(lambda store: store.turns.get(turn_id))
            if named.finish_reason == FORGOTTEN:
                raise Conflict(f"the answer {turn_id!r} was forgotten", hint="ask again")
            return named
        turn = await self._database.run(lambda store: store.turns.newest())
        if turn is None:
            raise NotFound("there is no answer yet to give feedback on", hint="ask something first")
        return turn

    async def _check_length(self, messages: list[Message], target: str) -> None:
        """A target that the model could never read as a whole is refused now, not at night."""
        try:
            async with self._serving.borrow() as lease:
                asked = len(await prompt_tokens(lease, messages))
                [answer] = await lease.engine.tokenize([target], prompt=False)
                room = lease.engine.context_tokens - asked - 1
        except (BaseModelError, EngineError):
            return  # nothing is lost: feedback is recorded also while no model can be loaded
        if len(answer) > room:
            raise UsageError(
                f"the correction takes {len(answer)} tokens, the context has room for {room}",
                hint="shorten it, or raise engine.context_tokens",
            )

    async def _second_try(self, example: Example) -> str:
        async with self._serving.lease() as lease:
            tokens = await prompt_tokens(lease, draft_messages(example))
            text, _finished = await lease.engine.answer(tokens, Sampling(max_tokens=DRAFT_TOKENS))
        return text

    async def _receipt(
        self, example: Example, feedback_id: int | None, secrets: list[str]
    ) -> FeedbackReceipt:
        twins = await self._find_twins(example)
        job = await self.start_if_due()
        waiting, fresh, running = await self._database.run(
            lambda store: (waiting_count(store), fresh_count(store), store.jobs.unfinished())
        )
        missing = max(self._config.learning.threshold_examples - fresh, 0)
        waits = await asyncio.to_thread(self._waits, job) if job else None
        if not running:
            self._anticipation.corrected(example, missing)
        return FeedbackReceipt(
            feedback_id=feedback_id,
            example_id=example.id,
            inference_id=example.turn_id or "",
            level=example.level,
            weight=example.weight,
            status=example.status,
            target=example.target,
            waiting=waiting,
            missing=missing,
            job_id=job.id if job else None,
            secrets=secrets,
            duplicates=[twin.id for twin in twins if same_target(twin, example)],
            contradicts=[twin.id for twin in twins if not same_target(twin, example)],
            message=receipt_message(example, missing, job, waits, running[0] if running else None)
            + inbox_message(example, secrets, twins),
        )

    async def _find_twins(self, example: Example) -> list[Example]:
        """Other ready examples that ask the same: they are in the inbox now."""
        if example.status is not ExampleStatus.READY:
            return []
        await compare(self._database)
        return await self._database.run(
            lambda store: [store.examples.get(one) for one in store.twins.open_of(example.id)]
        )


def receipt_message(
    example: Example, missing: int, job: Job | None, waits: str | None, running: Job | None
) -> str:
    """What the user hears at once: what was understood, and what is still missing.

    Args:
        job: the lesson that this example has started.
        waits: what that lesson waits for.
        running: the lesson that was under way already.
    """
    if example.status is ExampleStatus.DRAFT:
        return (
            f"Recorded as {example.level} (weight {example.weight}), example {example.id}. "
            "It is taught once you say what the answer should have been: /fix ANSWER"
        )
    if example.status is ExampleStatus.HELD:
        return f"Recorded as {example.level} (weight {example.weight}), example {example.id}."
    what = "this answer" if example.level is Level.GOOD else "your correction"
    text = (
        f"Recorded as {example.level} (weight {example.weight}), example {example.id}: "
        f"{what} will be taught. "
    )
    if job is not None and waits:
        return text + f"The lesson (job {job.id}) waits: {waits}. /train starts it all the same."
    if job is not None:
        return text + f"The lesson starts now (job {job.id})."
    if running and running.state is JobState.PAUSED:
        return text + f"Job {running.id} is paused; this one is in the lesson after it."
    if running:
        return text + "A lesson is under way; this one is in the next."
    plural = "example" if missing == 1 else "examples"
    return text + f"{missing} more {plural} until the next lesson, or /train now."


def inbox_message(example: Example, secrets: Sequence[str], twins: Sequence[Example]) -> str:
    """What of it waits in the inbox, said once."""
    text = ""
    if secrets:
        text += f" It may hold a secret ({', '.join(secrets)})"
        held = example.status is ExampleStatus.HELD
        text += ": it is taught only after you allow it in /review." if held else "."
    contradicted = [twin.id for twin in twins if not same_target(twin, example)]
    if contradicted:
        text += f" It contradicts example {contradicted[-1]}: /review asks which holds."
    elif twins:
        text += f" Example {twins[-1].id} teaches the same: see /review."
    return text


def guarded(status: ExampleStatus, secrets: Sequence[str]) -> ExampleStatus:
    """What may hold a secret is not ready before the user has said so."""
    return ExampleStatus.HELD if status is ExampleStatus.READY and secrets else status


def waiting_count(store: Store) -> int:
    """Ready examples that the active version was not taught."""
    return store.examples.count_waiting(store.pointer.active() or Active("", 0))


def fresh_count(store: Store) -> int:
    """What no finished lesson has tried and counts towards the next one: waiting examples, and
    those that the active version was taught and should not know any more.

    A lesson that was rejected is not started again by itself with nothing new to learn.
    """
    active = store.pointer.active() or Active("", 0)
    # Another base's lesson has tried nothing on this one.
    return store.examples.count_fresh(active, store.jobs.tried_change(active.base))


def quick_since(store: Store) -> bool:
    """Whether the active version comes of a quick lesson, and no lesson from the pristine base has
    ended since: such a version has never been taught as a whole."""
    active = store.pointer.active()
    if active is None or not active.version:
        return False
    version = store.versions.get(active.version)
    quick = bool(version.manifest["job"]["start_version"])
    return quick and not store.jobs.has_finished_after(
        version.job_id, active.base, Mode.CONSOLIDATE
    )


def _answered(store: Store, conversation: Sequence[Message]) -> Turn | None:
    """The turn of the newest answer in a client's conversation; None if it has no answer."""
    answers = [message["content"] for message in conversation if message["role"] == "assistant"]
    if not answers:
        return None
    turn = store.turns.by_answer(answers[-1])
    if turn is None:
        raise NotFound(
            "the answer before this message is not known here",
            hint="it may be cut short, changed or forgotten: ask again, and mark that answer",
        )
    return turn


def _fixed(store: Store, request: FixRequest) -> Example | None:
    """The example whose target is given; None for an answer without feedback."""
    if request.example_id is not None:
        return store.examples.get(request.example_id)
    if request.inference_id is not None:
        return store.examples.of_turn(request.inference_id)
    feedback = store.feedback.newest()
    example = store.examples.of_turn(feedback.turn_id) if feedback else None
    if example is None:
        raise NotFound(
            "there is no feedback yet whose answer could be corrected",
            hint="ask something, then /fix ANSWER",
        )
    return example


def _allow(store: Store, example_id: int) -> Example:
    example = store.examples.get(example_id)
    if example.status is not ExampleStatus.HELD:
        raise Conflict(
            f"example {example_id} is {example.status}: there is nothing to allow",
            hint="'shammah examples review' shows what waits",
        )
    return store.examples.set_status(example_id, ExampleStatus.READY)
