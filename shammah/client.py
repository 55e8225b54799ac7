"""The one way to talk to the daemon: HTTP over its unix socket, or TCP. Knows no SQL, no model."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel, ValidationError

from shammah import errors
from shammah.completions import Usage
from shammah.errors import DaemonUnreachable, ShammahError, UsageError
from shammah.invalid import first_fault
from shammah.place import Port
from shammah.protocol import (
    SIZE_HEADER,
    AdapterView,
    AddBaseEvent,
    AddBaseProgress,
    AddBaseRequest,
    BackupRequest,
    BaseView,
    ChatCompletion,
    CompareRequest,
    Comparison,
    DeletedSession,
    Draft,
    ErrorResponse,
    ExampleList,
    ExampleView,
    ExportEvent,
    ExportRequest,
    FeedbackReceipt,
    FeedbackRequest,
    FixRequest,
    ForgetReceipt,
    ForgetRequest,
    ForkRequest,
    HardwareHistory,
    HardwareSample,
    Health,
    HistorySpan,
    ImportAdapterRequest,
    ImportReceipt,
    ImportRequest,
    InboxItem,
    Integrity,
    JobEvent,
    JobView,
    LoadAdapterRequest,
    LogTail,
    PlanView,
    PruneReceipt,
    PruneRequest,
    PushReceipt,
    PushRequest,
    RenameRequest,
    RollbackRequest,
    SessionDetail,
    SessionView,
    SettingChange,
    SettingView,
    SettleRequest,
    ShammahInfo,
    Status,
    StepView,
    TrainRequest,
    UseBaseRequest,
    VersionView,
    VoteRequest,
    WhyView,
)
from shammah.records import ExampleStatus, LessonMode, Level, Message, Mode, Preference, Preset

Model = TypeVar("Model", bound=BaseModel)

#: Answers may take minutes to begin on a slow machine; connecting to a local socket may not.
TIMEOUT = httpx.Timeout(None, connect=5.0)


@dataclass(frozen=True)
class ChatChunk:
    """A piece of a streamed answer. The last one has `finish_reason`, `usage` and `info`."""

    id: str
    text: str
    finish_reason: str | None = None
    usage: Usage | None = None
    info: ShammahInfo | None = None


class Client:
    """Talks to the daemon behind a socket or a port.

    Every method raises `DaemonUnreachable` when nothing answers, and otherwise the class of
    `shammah.errors` that the daemon raised.
    """

    def __init__(self, place: Path | Port) -> None:
        if isinstance(place, Port):
            self._place = url = place.url
            headers = {"Authorization": f"Bearer {place.token}"}
            # Given, so that no proxy of the environment is asked.
            transport = httpx.HTTPTransport(verify=url.startswith("https:"))
        else:
            self._place, url, headers = str(place), "http://shammah", {}
            # Certificates are for TLS; to read them takes as long as to import half of this.
            transport = httpx.HTTPTransport(uds=self._place, verify=False)
        self._http = httpx.Client(
            transport=transport, base_url=url, headers=headers, timeout=TIMEOUT
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # chat

    def chat(self, messages: list[Message], **options: Any) -> ChatCompletion:
        """One whole answer. Options: temperature, top_p, max_tokens, stop, seed, session,
        model."""
        body = {"messages": messages, **options}
        return self._call(ChatCompletion, "POST", "/v1/chat/completions", body)

    def chat_stream(self, messages: list[Message], **options: Any) -> Generator[ChatChunk]:
        """The answer piece by piece. Closing the iterator stops the daemon from generating."""
        body = {
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **options,
        }
        with self._stream("POST", "/v1/chat/completions", body) as response:
            for event in EventSource(response).iter_sse():
                if event.data == "[DONE]":
                    return
                yield _chunk(json.loads(event.data))

    # feedback and examples

    def feedback(
        self,
        level: Level,
        inference_id: str | None = None,
        note: str | None = None,
        correction: str | None = None,
    ) -> FeedbackReceipt:
        request = FeedbackRequest(
            inference_id=inference_id, level=level, note=note, correction=correction
        )
        return self._call(FeedbackReceipt, "POST", "/v1/feedback", request)

    def fix(
        self, correction: str, example_id: int | None = None, *, inference_id: str | None = None
    ) -> FeedbackReceipt:
        """Set the target of `example_id`, or of that answer, or of the newest feedback."""
        request = FixRequest(
            correction=correction, example_id=example_id, inference_id=inference_id
        )
        return self._call(FeedbackReceipt, "POST", "/api/examples/fix", request)

    def draft(self, example_id: int) -> Draft:
        """A proposal for what the answer should have been."""
        return self._call(Draft, "POST", f"/api/examples/{example_id}/draft")

    def examples(self, status: ExampleStatus | None = None) -> list[ExampleView]:
        """All of them, newest first; forgotten ones only when asked for."""
        page = self.page_of_examples(status)
        found = page.data
        while page.has_more:
            page = self.page_of_examples(status, before=found[-1].id)
            found += page.data
        return found

    def page_of_examples(
        self, status: ExampleStatus | None = None, before: int | None = None
    ) -> ExampleList:
        """As many of them as the daemon gives at once, those with a smaller id than `before`."""
        asked = {"status": status, "before": before}
        query = {name: value for name, value in asked.items() if value is not None}
        return self._call(ExampleList, "GET", "/api/examples", query=query)

    def example(self, example_id: int) -> ExampleView:
        return self._call(ExampleView, "GET", f"/api/examples/{example_id}")

    def import_examples(self, lines: str, source: str) -> ImportReceipt:
        """Add the examples of a file's lines; those that are refused are named."""
        with _refusing():
            request = ImportRequest(lines=lines, source=source)
        return self._call(ImportReceipt, "POST", "/api/examples/import", request)

    def export_examples(self) -> str:
        """Every example that is, or may be, taught as a line of JSON, oldest first."""
        return self._request("GET", "/api/examples/export").text

    def inbox(self) -> list[InboxItem]:
        """What waits for the user's word, the most urgent kind first."""
        return self._list(InboxItem, "/api/inbox")

    def settle(self, first_id: int, second_id: int, holds_id: int | None) -> None:
        """Which of two examples that ask the same holds; None where both do."""
        request = SettleRequest(first_id=first_id, second_id=second_id, holds_id=holds_id)
        self._request("POST", "/api/inbox/settle", request)

    def allow(self, example_id: int) -> FeedbackReceipt:
        """Learn an example although it may hold a secret."""
        return self._call(FeedbackReceipt, "POST", f"/api/examples/{example_id}/allow")

    def discard(self, example_id: int) -> ExampleView:
        """Never complete a draft."""
        return self._call(ExampleView, "POST", f"/api/examples/{example_id}/discard")

    def forget(self, example_id: int, *, now: bool = False) -> ForgetReceipt:
        """Erase its words and never train on it again; `now` starts the lesson without it."""
        request = ForgetRequest(now=now)
        return self._call(ForgetReceipt, "POST", f"/api/examples/{example_id}/forget", request)

    def why(self, turn_id: str | None = None) -> WhyView:
        """Where an answer came from; the newest without an id."""
        return self._call(WhyView, "GET", f"/api/turns/{turn_id or 'newest'}/why")

    # sessions

    def begin_session(self) -> SessionView:
        """A new one; answers are recorded in it with the chat option `session`."""
        return self._call(SessionView, "POST", "/api/sessions")

    def sessions(self, search: str = "", limit: int | None = None) -> list[SessionView]:
        """Newest first; with words to search for, the best matches first."""
        query = {"search": search} if search else {}
        return self._list(SessionView, "/api/sessions", query | ({"limit": limit} if limit else {}))

    def session(self, session_id: int) -> SessionDetail:
        return self._call(SessionDetail, "GET", f"/api/sessions/{session_id}")

    def rename_session(self, session_id: int, name: str | None) -> SessionView:
        with _refusing():
            request = RenameRequest(name=name)
        return self._call(SessionView, "PATCH", f"/api/sessions/{session_id}", request)

    def fork_session(self, session_id: int, exchanges: int | None = None) -> SessionDetail:
        """A new session that begins with the first `exchanges` of this one, or with all."""
        with _refusing():
            request = ForkRequest(exchanges=exchanges)
        return self._call(SessionDetail, "POST", f"/api/sessions/{session_id}/fork", request)

    def take_back(self, session_id: int, turn_id: str) -> None:
        """Take an exchange out of a session's conversation."""
        self._request("DELETE", f"/api/sessions/{session_id}/turns/{turn_id}")

    def delete_session(self, session_id: int) -> DeletedSession:
        """Erase a conversation for good."""
        return self._call(DeletedSession, "DELETE", f"/api/sessions/{session_id}")

    # jobs and versions

    def train(
        self,
        mode: LessonMode = Mode.CONSOLIDATE,
        preset: Preset = "standard",
        options: Mapping[str, Any] | None = None,
    ) -> JobView:
        """Queue a lesson now; an unfinished one that teaches the same is returned instead.

        One that cannot be quick, because nothing was taught before, consolidates.

        Args:
            options: of the settings' [training], for this lesson alone.
        """
        request = TrainRequest(mode=mode, preset=preset, options=dict(options or {}))
        return self._call(JobView, "POST", "/api/jobs", request)

    def plan(
        self,
        mode: LessonMode = Mode.CONSOLIDATE,
        preset: Preset = "standard",
        options: Mapping[str, Any] | None = None,
    ) -> PlanView:
        """How a lesson would compute on the daemon's machine, why, and what it would take."""
        request = TrainRequest(mode=mode, preset=preset, options=dict(options or {}))
        return self._call(PlanView, "POST", "/api/plan", request)

    def jobs(self) -> list[JobView]:
        """Newest first."""
        return self._list(JobView, "/api/jobs")

    def job(self, job_id: int) -> JobView:
        return self._call(JobView, "GET", f"/api/jobs/{job_id}")

    def untold_jobs(self) -> list[JobView]:
        """Ended ones of whose end the user was not told yet, oldest first."""
        return self._list(JobView, "/api/jobs", {"untold": True})

    def mark_told(self, job_id: int) -> JobView:
        """The user was told how the job ended."""
        return self._call(JobView, "POST", f"/api/jobs/{job_id}/told")

    def job_steps(self, job_id: int) -> list[StepView]:
        """Every optimizer step so far."""
        return self._list(StepView, f"/api/jobs/{job_id}/steps")

    def job_states(self, job_id: int) -> list[JobEvent]:
        """The states that the job has entered so far."""
        return self._list(JobEvent, f"/api/jobs/{job_id}/states")

    def cancel_job(self, job_id: int) -> JobView:
        return self._call(JobView, "POST", f"/api/jobs/{job_id}/cancel")

    def pause_job(self, job_id: int) -> JobView:
        """Stop it where it is until it is resumed; its memory comes back."""
        return self._call(JobView, "POST", f"/api/jobs/{job_id}/pause")

    def resume_job(self, job_id: int) -> JobView:
        return self._call(JobView, "POST", f"/api/jobs/{job_id}/resume")

    def job_events(self, job_id: int | None = None, after: int = 0) -> Iterator[JobEvent]:
        """Events of one job until it ends, or of all jobs without an end; replays those > after.

        `after=-1` starts with what happens from now on.
        """
        path = "/api/jobs/events" if job_id is None else f"/api/jobs/{job_id}/events"
        with self._stream("GET", f"{path}?after={after}") as response:
            for event in EventSource(response).iter_sse():
                if event.data:
                    yield JobEvent.model_validate_json(event.data)

    def push_version(
        self, number: int, repository: str, *, public: bool = False, message: str | None = None
    ) -> PushReceipt:
        """Put a version's adapter into `hf:OWNER/NAME`, which is made if there is none."""
        with _refusing():
            request = PushRequest(repository=repository, public=public, message=message)
        return self._call(PushReceipt, "POST", f"/api/versions/{number}/push", request)

    def versions(self) -> list[VersionView]:
        """Newest first; the last one is version 0, the base itself."""
        return self._list(VersionView, "/api/versions")

    def version(self, number: int) -> VersionView:
        return self._call(VersionView, "GET", f"/api/versions/{number}")

    def delete_version(self, number: int) -> None:
        """Remove a version that does not serve, with its files."""
        self._request("DELETE", f"/api/versions/{number}")

    def prune_versions(self, keep: int | None = None, *, dry_run: bool = False) -> PruneReceipt:
        """Remove the files of all but the newest `keep` of each base and what is needed."""
        with _refusing():
            request = PruneRequest(keep=keep, dry_run=dry_run)
        return self._call(PruneReceipt, "POST", "/api/versions/prune", request)

    def rollback(self, version: int | None = None) -> VersionView:
        """Serve `version`, or the one that was active before; returns the one now active."""
        return self._call(
            VersionView, "POST", "/api/versions/rollback", RollbackRequest(version=version)
        )

    def compare(
        self, question: str, first: int | None = None, second: int | None = None
    ) -> Comparison:
        """What two versions answer; left out: the one before the active one, and the active one."""
        with _refusing():
            request = CompareRequest(first=first, second=second, question=question)
        return self._call(Comparison, "POST", "/api/versions/compare", request)

    def vote(self, first: int, second: int, better: Preference) -> None:
        """Record which of two versions' answers was better, seen blindly."""
        request = VoteRequest(first=first, second=second, better=better)
        self._request("POST", "/api/versions/votes", request)

    # adapters

    def adapters(self) -> list[AdapterView]:
        """Those of the versions, newest first, then the imported ones."""
        return self._list(AdapterView, "/api/adapters")

    def adapter(self, name: str) -> AdapterView:
        return self._call(AdapterView, "GET", _adapter_path(name))

    def import_adapter(
        self, path: Path, name: str | None = None, base: str | None = None
    ) -> AdapterView:
        """Take in a PEFT folder; without `base` for the active one."""
        request = ImportAdapterRequest(path=str(path.absolute()), name=name, base=base)
        return self._call(AdapterView, "POST", "/api/adapters", request)

    def load_adapter(self, name: str, scale: float = 1.0) -> AdapterView:
        """Add it to what serves, from the next answer on; loaded already, change its scale."""
        with _refusing():
            request = LoadAdapterRequest(scale=scale)
        return self._call(AdapterView, "POST", f"{_adapter_path(name)}/load", request)

    def unload_adapter(self, name: str) -> AdapterView:
        return self._call(AdapterView, "POST", f"{_adapter_path(name)}/unload")

    def delete_adapter(self, name: str) -> None:
        """Remove an imported adapter that is not loaded, with its files."""
        self._request("DELETE", _adapter_path(name))

    def export_adapters(self, request: ExportRequest) -> Generator[ExportEvent]:
        """Write a file or folder for other programs. Closing the iterator ends the work, and leaves
        nothing; the last event says what was written."""
        body = request.model_dump()
        with self._stream("POST", "/api/adapters/export", body) as response:
            for event in EventSource(response).iter_sse():
                if event.data == "[DONE]":
                    return
                yield _event(ExportEvent, json.loads(event.data))

    # bases and the daemon

    def bases(self) -> list[BaseView]:
        return self._list(BaseView, "/api/bases")

    def add_base(
        self,
        path: Path | str,
        name: str | None,
        weights: Path | str | None,
        on_progress: Callable[[AddBaseProgress], None] = lambda _progress: None,
    ) -> BaseView:
        """Check and register a base. A path, or as text a reference to the Hugging Face hub; what
        is fetched from there is told as it arrives."""
        request = AddBaseRequest(
            path=_absolute(path),
            name=name,
            weights=_absolute(weights) if weights else None,
            stream=True,
        )
        with self._stream("POST", "/api/bases", request.model_dump()) as response:
            for event in EventSource(response).iter_sse():
                if event.data == "[DONE]":
                    break
                told = _event(AddBaseEvent, json.loads(event.data))
                if told.base is not None:
                    return told.base
                if told.progress is not None:
                    on_progress(told.progress)
        raise ShammahError("the daemon ended the answer before the base was added")

    def use_base(self, name: str, *, now: bool = False) -> BaseView:
        """Serve `name`; where `job_id` is set, once that job has taught it what was taught."""
        return self._call(BaseView, "POST", f"/api/bases/{name}/use", UseBaseRequest(now=now))

    def remove_base(self, name: str) -> None:
        self._request("DELETE", f"/api/bases/{name}")

    def status(self) -> Status:
        return self._call(Status, "GET", "/api/status")

    def hardware(self) -> HardwareSample:
        """The machine now."""
        return self._call(HardwareSample, "GET", "/api/hardware")

    def hardware_history(self, span: HistorySpan = "hour") -> HardwareHistory:
        """The machine in the last hour or day."""
        return self._call(HardwareHistory, "GET", f"/api/hardware/history?span={span}")

    def integrity(self) -> list[str]:
        """What is wrong inside the database; empty when all is well."""
        return self._call(Integrity, "GET", "/api/integrity").problems

    def logs(self, after: str | None = None) -> LogTail:
        """The end of the logs, or what came after the `next` of an earlier call."""
        query = {"after": after} if after else None
        return LogTail.model_validate_json(self._request("GET", "/api/logs", query=query).content)

    def settings(self) -> list[SettingView]:
        return self._list(SettingView, "/api/config")

    def change_setting(self, key: str, value: str | None) -> SettingView:
        """Write a value, None for the default; it holds when the daemon starts again."""
        return self._call(SettingView, "PUT", f"/api/config/{key}", SettingChange(value=value))

    def health(self) -> Health:
        return self._call(Health, "GET", "/health")

    @contextmanager
    def backup(self, *, models: bool) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A backup as it is made: how many bytes it is about, and the bytes."""
        request = BackupRequest(models=models).model_dump()
        with self._stream("POST", "/api/backup", request) as response:
            yield int(response.headers[SIZE_HEADER]), response.iter_bytes()

    # transport

    def _call(
        self,
        model: type[Model],
        method: str,
        path: str,
        body: BaseModel | dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
    ) -> Model:
        return model.model_validate_json(self._request(method, path, body, query).content)

    def _list(
        self, model: type[Model], path: str, query: dict[str, Any] | None = None
    ) -> list[Model]:
        data = self._request("GET", path, query=query).json()["data"]
        return [model.model_validate(item) for item in data]

    def _request(
        self,
        method: str,
        path: str,
        body: BaseModel | dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
    ) -> httpx.Response:
        with self._reaching_daemon():
            response = self._http.request(method, path, json=_plain(body), params=query)
        _raise_for_error(response)
        return response

    @contextmanager
    def _stream(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Iterator[httpx.Response]:
        with (
            self._reaching_daemon(),
            self._http.stream(method, path, json=body) as response,
        ):
            if response.is_error:
                response.read()
                _raise_for_error(response)
            yield response

    @contextmanager
    def _reaching_daemon(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise DaemonUnreachable(
                f"no daemon answers on {self._place}", hint="start it with 'shammah daemon start'"
            ) from error


@contextmanager
def _refusing() -> Iterator[None]:
    """Around a request that not every value fits; pydantic's own error repeats what was given."""
    try:
        yield
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(f"{fault.where}: {fault.message}") from None


def _plain(body: BaseModel | dict[str, Any] | None) -> Any:
    return body.model_dump(mode="json") if isinstance(body, BaseModel) else body


def _raise_for_error(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        raised = ErrorResponse.model_validate_json(response.content).error
    except ValueError:
        raise ShammahError(f"the daemon answered {response.status_code}") from None
    raise errors.by_name(raised.type)(raised.message, hint=raised.hint)


def _absolute(place: Path | str) -> str:
    return str(place.absolute()) if isinstance(place, Path) else place


def _adapter_path(name: str) -> str:
    return f"/api/adapters/{quote(name, safe='')}"


def _raise_if_error(data: dict[str, Any]) -> None:
    """An error after the first event of a stream is its last one."""
    if "error" in data:
        raised = ErrorResponse.model_validate(data).error
        raise errors.by_name(raised.type)(raised.message, hint=raised.hint)


def _event(model: type[Model], data: dict[str, Any]) -> Model:
    _raise_if_error(data)
    return model.model_validate(data)


def _chunk(data: dict[str, Any]) -> ChatChunk:
    _raise_if_error(data)
    choice = data["choices"][0] if data["choices"] else {}
    return ChatChunk(
        id=data["id"],
        text=choice.get("delta", {}).get("content") or "",
        finish_reason=choice.get("finish_reason"),
        usage=Usage.model_validate(data["usage"]) if data.get("usage") else None,
        info=ShammahInfo.model_validate(data["shammah"]) if data.get("shammah") else None,
    )
