"""The routes of the stand-in; what a question does is in its words (see `_answer`)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sse_starlette import EventSourceResponse

from shammah.completions import ChatMessage, ChatRequest, Usage
from shammah.errors import Conflict, EngineCrashed, NotFound, ShammahError, StorageError
from shammah.feedback.commands import UNMARKED
from shammah.paths import Paths
from shammah.protocol import (
    SIZE_HEADER,
    AdapterView,
    AppliedView,
    BaseView,
    ChatChoice,
    ChatCompletion,
    ComparedAnswer,
    CompareRequest,
    Comparison,
    Draft,
    EngineStatus,
    ErrorBody,
    ErrorResponse,
    ExampleView,
    ExportEvent,
    ExportRequest,
    FeedbackReceipt,
    FeedbackRequest,
    FixRequest,
    ForgetReceipt,
    ForgetRequest,
    Health,
    ImportAdapterRequest,
    InboxItem,
    JobEvent,
    JobView,
    Listing,
    LoadAdapterRequest,
    PlanLine,
    PlanView,
    PruneReceipt,
    PruneRequest,
    RollbackRequest,
    SessionView,
    SettleRequest,
    ShammahInfo,
    Status,
    StepView,
    TrainRequest,
    UseBaseRequest,
    VersionView,
    VoteRequest,
    VotesView,
    WhyView,
)
from shammah.records import ExampleStatus, JobState, Level, Mode, PauseReason

NOW = "2026-01-02T03:04:05+00:00"
THRESHOLD = 10
WEIGHTS = {Level.CRITICAL: 10, Level.MEDIUM: 3, Level.GOOD: 1}
STAGES = (JobState.TRAINING, JobState.MERGING, JobState.QUANTIZING, JobState.JUDGING)
LEARNED = "learned 9 of 10; 1 still wrong"
HOLDING = "9 of 10 answers hold"


class State:
    """Everything that a real daemon keeps on disk, and how its jobs go.

    Args:
        pid: what is ended when the daemon is to be stopped, or to die.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.outcome = JobState.PROMOTED
        self.stage_seconds = 0.05
        self.turns: dict[str, tuple[list[dict[str, str]], str]] = {}
        self.examples: dict[int, ExampleView] = {}
        self.example_turns: dict[int, str] = {}
        self.jobs: dict[int, JobView] = {}
        self.events: list[JobEvent] = []
        self.changed = asyncio.Event()
        self.active = 0
        self.versions = [0]
        self.votes: Counter[int] = Counter()  # won, by version
        self.adapters = {"version-1": adapter_view("version-1", version=1)}
        self.exports: list[ExportRequest] = []
        self.turn_ids = count(1)
        self.session_ids = count(1)
        self.tasks: set[asyncio.Task[None]] = set()

    def enter(self, job: JobView, state: JobState) -> None:
        job.state = state
        job.summary = _summary(job)
        told = job.model_dump(include={"state", "summary", "version", "error", "hint"})
        self.publish(job.id, "state", told)

    def publish(
        self, job_id: int, kind: Literal["state", "progress"], data: dict[str, Any]
    ) -> None:
        event = JobEvent(id=len(self.events) + 1, job_id=job_id, at=NOW, kind=kind, data=data)
        self.events.append(event)
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def ready(self) -> int:
        return sum(e.status is ExampleStatus.READY for e in self.examples.values())

    def receipt(self, example: ExampleView) -> FeedbackReceipt:
        missing = max(0, THRESHOLD - self.ready)
        return FeedbackReceipt(
            feedback_id=example.id,
            example_id=example.id,
            inference_id=self.example_turns[example.id],
            level=example.level,
            weight=example.weight,
            status=example.status,
            target=example.target,
            waiting=self.ready,
            missing=missing,
            job_id=None,
            message=f"recorded as {example.level}, weight {example.weight}; {missing} missing",
        )


def build(paths: Paths, state: State) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(ShammahError)
    async def failed(request: Request, error: ShammahError) -> JSONResponse:
        return JSONResponse(_error(error), status_code=error.http_status)

    @app.get("/health")
    async def health() -> Health:
        return Health(pid=state.pid, version="0.1.0")

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: ChatRequest) -> ChatCompletion | EventSourceResponse:
        turn = f"chatcmpl-{next(state.turn_ids)}"
        answer = _answer(request, state)
        if request.stream:
            return EventSourceResponse(_stream(turn, answer, request, state))
        state.turns[turn] = (_messages(request), answer)
        return ChatCompletion(
            id=turn,
            created=0,
            model="shammah",
            system_fingerprint="fp",
            choices=[
                ChatChoice(
                    message=ChatMessage(role="assistant", content=answer), finish_reason="stop"
                )
            ],
            usage=Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2),
            shammah=ShammahInfo(
                version=state.active,
                base="fake",
                tokens_per_second=98.0,
                injected=_injected(request.messages[-1].content),
            ),
        )

    @app.post("/api/sessions")
    async def begin() -> SessionView:
        number = next(state.session_ids)
        return SessionView(
            id=number, name=None, created_at=NOW, updated_at=NOW, exchanges=0, opening=""
        )

    @app.delete("/api/sessions/{session}/turns/{turn}")
    async def take_back(session: int, turn: str) -> Response:
        return Response(status_code=204)

    @app.get("/api/turns/{turn}/why")
    async def why(turn: str) -> WhyView:
        turn = next(reversed(state.turns), "none") if turn == "newest" else turn
        if turn not in state.turns:
            raise NotFound(f"no answer with the id {turn!r}", hint="ask something first")
        messages, _ = state.turns[turn]
        return WhyView(
            id=turn,
            created_at=NOW,
            base="fake",
            version=state.active,
            question=messages[-1]["content"],
            injected=[state.examples[number] for number in _injected(messages[-1]["content"])],
        )

    @app.post("/v1/feedback")
    async def feedback(request: FeedbackRequest) -> FeedbackReceipt:
        turn = request.inference_id or next(reversed(state.turns), "none")
        if turn not in state.turns:
            raise NotFound(f"no answer with the id {turn!r}", hint="ask something first")
        messages, answer = state.turns[turn]
        target = answer if request.level is Level.GOOD else request.correction
        example = ExampleView(
            id=len(state.examples) + 1,
            status=ExampleStatus.READY if target else ExampleStatus.DRAFT,
            level=request.level,
            weight=WEIGHTS[request.level],
            question=messages[-1]["content"],
            messages=messages,
            target=target,
            rejected=None if request.level is Level.GOOD else answer,
            note=request.note,
            created_at=NOW,
            updated_at=NOW,
        )
        state.examples[example.id] = example
        state.example_turns[example.id] = turn
        return state.receipt(example)

    @app.post("/api/examples/fix")
    async def fix(request: FixRequest) -> FeedbackReceipt:
        of_turn = {turn: number for number, turn in state.example_turns.items()}
        if request.inference_id is not None and request.inference_id not in of_turn:
            return await feedback(
                FeedbackRequest(
                    inference_id=request.inference_id,
                    level=UNMARKED,
                    correction=request.correction,
                )
            )
        number = request.example_id or of_turn.get(request.inference_id or "")
        example = _example(state, number or max(state.examples, default=0))
        example.target = request.correction
        example.status = ExampleStatus.READY
        return state.receipt(example)

    @app.post("/api/examples/{example_id}/draft")
    async def draft(example_id: int) -> Draft:
        example = _example(state, example_id)
        return Draft(example_id=example_id, text=f"better {example.rejected}", source="model")

    @app.get("/api/examples")
    async def examples(status: ExampleStatus | None = None) -> dict[str, list[ExampleView]]:
        found = reversed(state.examples.values())
        shown = (ExampleStatus.DRAFT, ExampleStatus.READY)
        wanted = [e for e in found if e.status is status or (status is None and e.status in shown)]
        return {"data": wanted}

    @app.get("/api/examples/{example_id}")
    async def example(example_id: int) -> ExampleView:
        return _example(state, example_id)

    @app.post("/api/examples/{example_id}/forget")
    async def forget(example_id: int, request: ForgetRequest) -> ForgetReceipt:
        found = _example(state, example_id)
        found.status = ExampleStatus.FORGOTTEN
        knowing = [number for number in state.versions if number]
        return ForgetReceipt(
            example_id=example_id,
            inference_ids=[state.example_turns[example_id]],
            also_in=[],
            active_version=state.active or None,
            versions=knowing,
            job_id=_begin(state, Mode.CONSOLIDATE).id if request.now else None,
            message=f"example {example_id} is forgotten",
        )

    @app.get("/api/inbox")
    async def inbox() -> Listing[InboxItem]:
        return Listing(data=_inbox(state))

    @app.post("/api/inbox/settle")
    async def settle(request: SettleRequest) -> Response:
        for loser in {request.first_id, request.second_id} - {request.holds_id}:
            if request.holds_id is not None:
                state.examples[loser].status = ExampleStatus.SUPERSEDED
        return Response(status_code=204)

    @app.post("/api/examples/{example_id}/discard")
    async def discard(example_id: int) -> ExampleView:
        found = _example(state, example_id)
        found.status = ExampleStatus.DISCARDED
        return found

    @app.post("/api/jobs")
    async def train(request: TrainRequest) -> JobView:
        return _begin(state, request.mode)

    @app.post("/api/plan")
    async def plan(request: TrainRequest) -> PlanView:
        reason = f"the stand-in computes nothing, {request.mode} or not"
        return PlanView(
            base="fake", device="cpu", precision="bfloat16", four_bit=False, max_tokens=1024,
            passes=1, recompute=False, predicted_bytes=10**9,
            lines=[PlanLine(name="device", choice="cpu", reason=reason)],
            shortage=None, estimate=None,
        )  # fmt: skip

    @app.get("/api/jobs")
    async def jobs(untold: bool = False) -> dict[str, list[JobView]]:
        if untold:
            ended = [job for job in state.jobs.values() if job.state.is_final]
            return {"data": [job for job in ended if job.told_at is None]}
        return {"data": list(reversed(state.jobs.values()))}

    @app.post("/api/jobs/{job_id}/told")
    async def told(job_id: int) -> JobView:
        found = _job(state, job_id)
        found.told_at = NOW
        return found

    @app.get("/api/jobs/{job_id}/steps")
    async def steps(job_id: int) -> dict[str, list[StepView]]:
        trained = "training" in [event.data["state"] for event in _states(state, job_id)]
        steps = [StepView(step=n, loss=1 / n, nll=1 / n, kl=0.0) for n in (1, 2)]
        return {"data": steps if trained else []}

    @app.get("/api/jobs/{job_id}/states")
    async def states(job_id: int) -> dict[str, list[JobEvent]]:
        return {"data": _states(state, job_id)}

    @app.get("/api/jobs/events")
    async def all_events(after: int = 0) -> EventSourceResponse:
        return EventSourceResponse(_events(state, None, after))

    @app.get("/api/jobs/{job_id}")
    async def job(job_id: int) -> JobView:
        return _job(state, job_id)

    @app.get("/api/jobs/{job_id}/events")
    async def job_events(job_id: int, after: int = 0) -> EventSourceResponse:
        return EventSourceResponse(_events(state, _job(state, job_id), after))

    @app.post("/api/jobs/{job_id}/cancel")
    async def cancel(job_id: int) -> JobView:
        found = _job(state, job_id)
        state.enter(found, JobState.CANCELLED)
        return found

    @app.post("/api/jobs/{job_id}/pause")
    async def pause(job_id: int) -> JobView:
        found = _job(state, job_id)
        found.paused_for = PauseReason.USER
        state.enter(found, JobState.PAUSED)
        return found

    @app.post("/api/jobs/{job_id}/resume")
    async def resume(job_id: int) -> JobView:
        found = _job(state, job_id)
        found.paused_for = None
        state.enter(found, JobState.QUEUED)
        return found

    @app.get("/api/versions")
    async def versions() -> dict[str, list[VersionView]]:
        return {"data": [_version(state, number) for number in reversed(state.versions)]}

    @app.get("/api/versions/{number}")
    async def version(number: int) -> VersionView:
        return _version(state, number)

    @app.delete("/api/versions/{number}")
    async def delete_version(number: int) -> Response:
        state.versions.remove(_version(state, number).number)
        return Response(status_code=204)

    @app.post("/api/versions/prune")
    async def prune(request: PruneRequest) -> PruneReceipt:
        kept = state.versions[-(request.keep or 5) :]
        pruned = [number for number in state.versions if number and number not in kept]
        if not request.dry_run:
            state.versions = [0, *(number for number in kept if number)]
        return PruneReceipt(
            pruned=pruned, kept=dict.fromkeys(kept, "newest"), freed_bytes=len(pruned) * 10**6
        )

    @app.post("/api/versions/rollback")
    async def rollback(request: RollbackRequest) -> VersionView:
        number = state.active - 1 if request.version is None else request.version
        found = _version(state, number)
        state.active = number
        found.active = True
        return found

    @app.post("/api/versions/compare")
    async def compare(request: CompareRequest) -> Comparison:
        numbers = (request.first or 0, request.second or 1)
        first, second = (
            ComparedAnswer(version=n, base="fake", text=f"answer {n} to {request.question}")
            for n in numbers
        )
        return Comparison(first=first, second=second)

    @app.post("/api/versions/votes")
    async def vote(request: VoteRequest) -> Response:
        state.votes[request.second if request.better == "second" else request.first] += 1
        return Response(status_code=204)

    @app.get("/api/bases")
    async def bases() -> dict[str, list[BaseView]]:
        return {"data": [_base()]}

    @app.post("/api/bases/{name}/use")
    async def use(name: str, request: UseBaseRequest) -> BaseView:
        return _base().model_copy(update={"job_id": None if request.now else 7})

    @app.delete("/api/bases/{name}")
    async def remove(name: str) -> Response:
        return Response(status_code=204)

    @app.get("/api/adapters")
    async def adapters() -> Listing[AdapterView]:
        return Listing(data=list(state.adapters.values()))

    @app.get("/api/adapters/{name}")
    async def adapter(name: str) -> AdapterView:
        return _adapter(state, name)

    @app.post("/api/adapters")
    async def import_adapter(request: ImportAdapterRequest) -> AdapterView:
        name = request.name or request.path.rpartition("/")[2]
        remark = "it says that it was made for 'x'" if name == "doubtful" else ""
        state.adapters[name] = adapter_view(name, origin=request.path, remark=remark)
        return state.adapters[name]

    @app.post("/api/adapters/export", response_model=None)
    async def export(request: ExportRequest) -> EventSourceResponse:
        for part in request.adapters:
            _adapter(state, part.name)
        state.exports.append(request)
        return EventSourceResponse(_exported(request))

    @app.post("/api/adapters/{name}/load")
    async def load(name: str, request: LoadAdapterRequest) -> AdapterView:
        found = _adapter(state, name)
        found.loaded, found.scale = True, request.scale
        return found

    @app.post("/api/adapters/{name}/unload")
    async def unload(name: str) -> AdapterView:
        found = _adapter(state, name)
        found.loaded, found.scale = False, None
        return found

    @app.delete("/api/adapters/{name}")
    async def delete_adapter(name: str) -> Response:
        if _adapter(state, name).version is not None:
            raise Conflict(f"{name} belongs to version 1 and goes with it", hint="leave it")
        del state.adapters[name]
        return Response(status_code=204)

    @app.post("/api/backup")
    async def backup() -> Response:
        return Response(b"backup", headers={SIZE_HEADER: "6"})

    @app.get("/api/status")
    async def status() -> Status:
        unfinished = [j for j in state.jobs.values() if not j.state.is_final]
        finished = [j for j in state.jobs.values() if j.state.is_final]
        return Status(
            version="0.1.0",
            pid=state.pid,
            uptime_seconds=61.0,
            base="fake",
            active_version=state.active,
            adapters=[
                AppliedView(name=one.name, scale=one.scale)
                for one in state.adapters.values()
                if one.scale is not None
            ],
            engine=EngineStatus(state="ready", memory_bytes=123_000_000),
            examples={"ready": state.ready},
            obsolete=[
                number
                for number in state.versions
                if any(e.status is ExampleStatus.FORGOTTEN for e in state.examples.values())
                and 0 < number < state.active
            ],
            inbox=dict(Counter(item.kind for item in _inbox(state))),
            waiting=state.ready,
            missing=max(0, THRESHOLD - state.ready),
            threshold=THRESHOLD,
            job=unfinished[0] if unfinished else None,
            last_job=finished[-1] if finished else None,
            preparation=None,
            home=str(paths.data_dir),
            log_file=str(paths.log_file),
        )

    return app


def _messages(request: ChatRequest) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in request.messages]


def _answer(request: ChatRequest, state: State) -> str:
    """`history` gives what came before as JSON; `slow` many words; anything else an echo."""
    question = request.messages[-1].content
    if question == "history":
        return json.dumps([m.content for m in request.messages[:-1]])
    if question == "slow":
        return " ".join(f"word{number}" for number in range(200))
    if question == "markdown":
        return "# Title\n\nsome **bold** text\n\n- one\n- two\n"
    if question == "control":
        return "before\x1b[2Jafter"
    suffix = f" (temperature {request.temperature})" if request.temperature is not None else ""
    return f"answer {state.active} to {question}{suffix}"


def _injected(question: str) -> list[int]:
    """`helped` is answered with the help of example 1."""
    return [1] if question == "helped" else []


#: Before which word of the answer to these questions the engine ends.
CRASHES = {"crash": 2, "crash at once": 0}


async def _stream(
    turn: str, answer: str, request: ChatRequest, state: State
) -> AsyncIterator[dict[str, str]]:
    question = request.messages[-1].content
    state.turns[turn] = (_messages(request), answer)
    for number, word in enumerate(answer.split(" ")):
        if CRASHES.get(question) == number:
            yield _data(_error(EngineCrashed("the engine ended while it answered", hint="again")))
            return
        if question == "die" and number == 2:
            os.kill(state.pid, signal.SIGKILL)
        text = word if number == 0 else f" {word}"
        yield _data({"id": turn, "choices": [{"index": 0, "delta": {"content": text}}]})
        await asyncio.sleep(0.05 if question == "slow" else 0)
    info = ShammahInfo(
        version=state.active,
        base="fake",
        dropped_messages=2 if question == "long" else 0,
        injected=_injected(question),
    )
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield _data({"id": turn, "choices": [last], "shammah": info.model_dump(mode="json")})
    yield {"data": "[DONE]"}


def _begin(state: State, mode: Mode) -> JobView:
    job = JobView(
        id=len(state.jobs) + 1,
        base="fake",
        mode=mode,
        state=JobState.QUEUED,
        attempt=1,
        version=None,
        error=None,
        hint=None,
        created_at=NOW,
        started_at=None,
        finished_at=None,
        progress={},
        report=None,
    )
    state.jobs[job.id] = job
    task = asyncio.create_task(_work(state, job))
    state.tasks.add(task)
    return job


async def _work(state: State, job: JobView) -> None:
    for stage in STAGES:
        state.enter(job, stage)
        job.progress = {"stage": stage, "fraction": 0.5, "step": 1, "steps": 2, "loss": 0.25}
        state.publish(job.id, "progress", job.progress)
        await asyncio.sleep(state.stage_seconds)
        if job.state is JobState.CANCELLED:
            return
    job.report = _report(list(state.examples), passed=state.outcome is JobState.PROMOTED)
    if state.outcome is JobState.PROMOTED:
        job.version = state.active = max(state.versions) + 1
        state.versions.append(state.active)
    state.enter(job, state.outcome)


def _summary(job: JobView) -> str:
    """As `shammah_daemon.outcome.summary_of` says it."""
    match job.state:
        case JobState.PROMOTED:
            return f"{LEARNED}. Version {job.version} answers now."
        case JobState.REJECTED:
            return f"The lesson was rejected, the active version stays: {HOLDING}."
        case JobState.CANCELLED:
            return "The lesson was cancelled."
        case _:
            return ""


def _states(state: State, job_id: int) -> list[JobEvent]:
    of_job = [event for event in state.events if event.job_id == _job(state, job_id).id]
    return [event for event in of_job if event.kind == "state"]


async def _events(state: State, job: JobView | None, after: int) -> AsyncIterator[dict[str, str]]:
    position = len(state.events) if after < 0 else after
    while True:
        changed = state.changed
        for event in state.events[position:]:
            if job is None or event.job_id == job.id:
                yield {"id": str(event.id), "data": event.model_dump_json()}
        position = len(state.events)
        if job is not None and job.state.is_final:
            return
        await changed.wait()


def _example(state: State, example_id: int) -> ExampleView:
    if example_id not in state.examples:
        raise NotFound(f"no example {example_id}", hint="'shammah examples list' shows them")
    return state.examples[example_id]


def _inbox(state: State) -> list[InboxItem]:
    """Drafts, and ready examples with one question and two targets."""
    ready = [e for e in state.examples.values() if e.status is ExampleStatus.READY]
    return [
        InboxItem(kind="contradiction", example=newer, older=older)
        for older, newer in itertools.combinations(ready, 2)
        if older.question == newer.question and older.target != newer.target
    ] + [
        InboxItem(kind="draft", example=example)
        for example in state.examples.values()
        if example.status is ExampleStatus.DRAFT
    ]


def _job(state: State, job_id: int) -> JobView:
    if job_id not in state.jobs:
        raise NotFound(f"no job {job_id}", hint="'shammah jobs list' shows them")
    return state.jobs[job_id]


def _version(state: State, number: int) -> VersionView:
    if number not in state.versions:
        raise NotFound(f"no version {number}", hint="'shammah versions list' shows them")
    return VersionView(
        number=number,
        base="fake",
        active=number == state.active,
        quantization="Q6_K",
        size_bytes=1,
        sha256="0" * 64,
        created_at=NOW,
        job_id=next((job.id for job in state.jobs.values() if job.version == number), None),
        summary="the base itself" if number == 0 else LEARNED,
        votes=VotesView(won=state.votes[number]),
    )


def _report(example_ids: list[int], *, passed: bool) -> dict[str, object]:
    """The first example was learned, the others are still wrong."""
    verdicts = [
        {
            "example_id": example_id,
            "verdict": "still_wrong" if place else "learned",
            "why": "wrong as asked" if place else "right as asked",
            "new": True,
            "level": "critical",
            "nll_before": 3.0,
            "nll_after": 0.1,
        }
        for place, example_id in enumerate(example_ids)
    ]
    return {
        "quantization": "Q6_K",
        "scale": 1.0,
        "checks": [{"name": "learned", "passed": passed, "detail": HOLDING}],
        "warnings": [],
        "verdicts": verdicts,
        "kl_mean": 0.02,
        "kl_median": 0.01,
        "max_kl": 0.1,
        "kl": [{"question": "What is two & two?", "kl": 0.03}, {"question": "Why?", "kl": 0.01}],
        "attempts": [],
        "summary": LEARNED,
    }


def adapter_view(
    name: str, origin: str = "version 1", version: int | None = None, remark: str = ""
) -> AdapterView:
    return AdapterView(
        name=name,
        source="version" if version else "imported",
        version=version,
        base="fake",
        base_sha256="0" * 64,
        rank=16,
        alpha=32.0,
        scaling=2.0,
        modules=["q_proj"],
        size_bytes=1_000_000,
        origin=origin,
        remark=remark,
        created_at=NOW,
        files={"adapter.gguf": "1" * 64},
    )


def _adapter(state: State, name: str) -> AdapterView:
    if name not in state.adapters:
        raise NotFound(f"no adapter is called {name!r}", hint="'shammah adapters list' shows them")
    return state.adapters[name]


async def _exported(request: ExportRequest) -> AsyncIterator[dict[str, str]]:
    if request.destination.endswith("full"):
        yield _data(_error(StorageError("the disk is full", hint="free some space")))
    else:
        yield _data(ExportEvent(kind="progress", stage="merging", fraction=0.5).model_dump())
        done = ExportEvent(kind="done", path=request.destination, size_bytes=1, quantization="Q8_0")
        yield _data(done.model_dump())
    yield {"data": "[DONE]"}


def _base() -> BaseView:
    return BaseView(
        name="fake",
        architecture="llama",
        parameters=1_000_000,
        quantization="Q4_1",
        size_bytes=1,
        context_tokens=2048,
        gguf="/fake.gguf",
        sha256="0" * 64,
        weights=None,
        active=True,
        prepared="ready",
    )


def _error(error: ShammahError) -> dict[str, object]:
    body = ErrorBody(message=error.message, type=type(error).__name__, hint=error.hint)
    return ErrorResponse(error=body).model_dump()


def _data(content: dict[str, object]) -> dict[str, str]:
    return {"data": json.dumps(content)}
