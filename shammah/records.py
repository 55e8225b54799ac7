"""The nouns of Shammah as plain values (DESIGN §2); know no database, no HTTP, no model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One chat message, in OpenAI's shape."""

    role: str
    content: str


class Level(StrEnum):
    """How much a feedback matters."""

    CRITICAL = "critical"
    MEDIUM = "medium"
    GOOD = "good"


class ExampleStatus(StrEnum):
    """Only what is ready is taught, judged and counted."""

    DRAFT = "draft"  # no accepted target yet
    HELD = "held"  # may hold a secret: waits for the user's word
    READY = "ready"
    SUPERSEDED = "superseded"  # another answer to the same question holds; kept as history
    DISCARDED = "discarded"  # a draft that the user did not want to complete
    FORGOTTEN = "forgotten"


class Mode(StrEnum):
    """What a job trains from."""

    CONSOLIDATE = "consolidate"  # from the pristine base, on all ready examples
    QUICK = "quick"  # from the active adapter, on the new examples and a sample of the others
    MOVE = "move"  # from another pristine base, on all ready examples; then that base serves


#: What a user may ask for; a move is asked for with its base.
LessonMode = Literal[Mode.CONSOLIDATE, Mode.QUICK]


#: How thoroughly a lesson trains; what each changes is in `shammah.options`.
Preset = Literal["quick", "standard", "deep", "custom"]


class Cause(StrEnum):
    """Why a job was started."""

    USER = "user"
    THRESHOLD = "threshold"
    NIGHT = "night"


class JobState(StrEnum):
    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    MERGING = "merging"
    QUANTIZING = "quantizing"
    JUDGING = "judging"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    PAUSED = "paused"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


#: States in which a process works on the job.
WORKING_STATES = frozenset(
    {
        JobState.PREPARING,
        JobState.TRAINING,
        JobState.MERGING,
        JobState.QUANTIZING,
        JobState.JUDGING,
    }
)

FINAL_STATES = frozenset(
    {JobState.PROMOTED, JobState.REJECTED, JobState.FAILED, JobState.CANCELLED}
)


class PauseReason(StrEnum):
    """Why a job is paused. Each is ended by who began it, and any of them by the user."""

    USER = "user"
    POLICY = "policy"  # the machine is needed for something else
    SPACE = "space"  # the disk is full: it goes on by itself when there is room


class Verdict(StrEnum):
    """What the gate found for one example."""

    LEARNED = "learned"
    STILL_WRONG = "still_wrong"
    GOT_WORSE = "got_worse"


class Preference(StrEnum):
    """Which of two answers the user found better."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


@dataclass(frozen=True)
class Votes:
    """How the answers of one version did in blind comparisons."""

    won: int
    lost: int
    tied: int


@dataclass(frozen=True)
class Applied:
    """An adapter that is added to what serves."""

    name: str
    scale: float  # times its effect


@dataclass(frozen=True)
class Turn:
    """One question with its whole context, the answer, and the version that gave it."""

    id: str  # the OpenAI completion id
    created_at: str  # ISO 8601, UTC
    base: str
    version: int  # 0 is the base itself
    messages: list[Message]  # the user's own: what was injected beside them is not among them
    answer: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    injected: list[int] = field(default_factory=list)  # ids of the examples put into the context
    adapters: list[Applied] = field(default_factory=list)  # that were added to the version

    @property
    def question(self) -> str:
        return _newest_question(self.messages)


@dataclass(frozen=True)
class Said:
    """One exchange of a session, as its turn recorded it."""

    id: str  # of the turn
    created_at: str
    base: str
    version: int
    system: str
    question: str
    answer: str
    correction: str | None  # what the user accepted instead of the answer
    finish_reason: str


@dataclass(frozen=True)
class Session:
    """A conversation that can be gone on with."""

    id: int
    name: str | None  # given by the user
    created_at: str
    updated_at: str  # of its newest turn
    exchanges: int
    opening: str  # its first question; empty where nothing is in it


@dataclass(frozen=True)
class Feedback:
    """What the user said about one turn. Never edited, only erased when it is forgotten."""

    id: int
    turn_id: str
    level: Level
    weight: int
    note: str | None
    correction: str | None
    created_at: str


@dataclass(frozen=True)
class Tally:
    """Answers of some time, and how many of them were marked critical."""

    answers: int
    critical: int


@dataclass(frozen=True)
class Example:
    """What training uses."""

    id: int
    turn_id: str | None  # None, like the feedback's: it came from a file
    feedback_id: int | None
    status: ExampleStatus
    level: Level
    weight: int
    messages: list[Message]
    target: str | None
    rejected: str | None
    note: str | None
    created_at: str
    updated_at: str
    superseded_by: int | None = None  # the example that holds instead
    source: str | None = None  # the file that it came from, as the user calls it

    @property
    def question(self) -> str:
        return _newest_question(self.messages)

    @property
    def content_hash(self) -> str:
        """Changes when what is taught changes: messages, target, rejected answer or weight."""
        taught = [self.messages, self.target, self.rejected, self.weight]
        return hashlib.sha256(json.dumps(taught, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Upload:
    """A file of examples that a client has uploaded. Its lines are kept until it is deleted."""

    id: str  # OpenAI's file id
    filename: str
    size_bytes: int
    created_at: str


@dataclass(frozen=True)
class UploadLine:
    """One line of an upload, as it was given."""

    id: int
    number: int  # from 1
    text: str  # with its end
    example_id: int | None  # what it was made into


@dataclass(frozen=True)
class Tuning:
    """What a client asked of a job in OpenAI's words, and what its file added."""

    job_id: int
    upload_id: str
    model: str
    suffix: str | None
    metadata: dict[str, str] | None
    request_sha256: str
    idempotency_key: str | None
    added: int
    duplicates: int
    held: int  # of those that were added: what may hold a secret
    created_at: str = ""


@dataclass(frozen=True)
class Base:
    """A base model that can be served and taught (`bases/<name>/base.json`)."""

    name: str
    gguf: str  # absolute path of the file that is served as version 0
    sha256: str
    size_bytes: int
    architecture: str
    parameters: int
    quantization: str
    context_tokens: int  # what the model was trained for
    template: str  # jinja2, from the GGUF
    bos_token: str
    eos_token: str
    weights: str | None = None  # a Hugging Face folder given beside the GGUF
    source: str | None = None  # hf:OWNER/NAME/FILE@COMMIT that the GGUF was fetched from
    weights_source: str | None = None  # the same of the weights


@dataclass(frozen=True)
class Tried:
    """An attempt that failed, and what was changed for the next one."""

    stage: JobState
    failure: str  # what kind
    message: str
    change: dict[str, Any]  # of `training.spec.Adjustments`
    said: str  # the change in words


@dataclass(frozen=True)
class Job:
    """One attempt to make a better version."""

    id: int
    base: str
    mode: Mode
    state: JobState
    attempt: int
    version: int | None  # the version number that this job builds, once it has one
    error: str | None
    hint: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    told_at: str | None = None  # when the user was told how it ended
    stage: JobState | None = None  # where it works, or worked when it paused or ended
    heartbeat_at: str | None = None  # the last sign of life of its work
    paused_for: PauseReason | None = None
    tried: list[Tried] = field(default_factory=list)
    progress: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    cause: Cause = Cause.USER
    tried_change: int | None = None  # the newest change of an example when it was begun
    preset: Preset = "standard"
    options: dict[str, Any] = field(default_factory=dict)  # training's, for this job alone
    recipe: dict[str, Any] | None = (
        None  # as it was resolved, once it was; see training.spec.Recipe
    )
    estimate: dict[str, Any] | None = None  # see `protocol.EstimateView`; None: of before estimates
    took: dict[str, Any] | None = None  # the same, measured, once it has ended


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job; kinds and data are those of `protocol.JobEvent`."""

    id: int  # grows over all jobs
    job_id: int
    at: str
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Judgement:
    """What the gate of one job found for one example."""

    example_id: int
    verdict: Verdict
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """A promoted artefact. Immutable; its files may be pruned."""

    number: int
    base: str
    job_id: int
    quantization: str
    gguf: str  # path relative to versions/<number>/
    sha256: str
    size_bytes: int
    created_at: str
    manifest: dict[str, Any]
    report: dict[str, Any]
    pruned_at: str | None = None  # since then its files are gone


@dataclass(frozen=True)
class Active:
    """The one pointer: which base and which of its versions serves. Version 0 is the base."""

    base: str
    version: int


def _newest_question(messages: list[Message]) -> str:
    """The newest user message."""
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
