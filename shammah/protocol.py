"""What goes over HTTP between the daemon and its clients (DESIGN §8); holds no behaviour."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shammah.completions import ChatMessage, Usage
from shammah.records import (
    Cause,
    ExampleStatus,
    JobState,
    LessonMode,
    Level,
    Mode,
    PauseReason,
    Preference,
    Preset,
    Verdict,
)

#: How many bytes of files are in a backup that is sent.
SIZE_HEADER = "Shammah-Size-Bytes"
Item = TypeVar("Item")

#: What the store can number.
Id = Annotated[int, Field(ge=0, lt=2**63)]


class Listing(BaseModel, Generic[Item]):
    data: list[Item]


class ErrorBody(BaseModel):
    """The inside of OpenAI's error shape; `type` is the class name in `shammah.errors`."""

    message: str
    type: str
    hint: str = ""
    code: str | None = None
    param: str | None = None


class ErrorResponse(BaseModel):
    error: ErrorBody


class AppliedView(BaseModel):
    """An adapter that is added to a version."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    scale: float


# --- chat -------------------------------------------------------------------------------------


class ShammahInfo(BaseModel):
    """What Shammah adds to a chat completion: who answered and how."""

    version: int  # 0 is the base
    base: str
    tokens_per_second: float | None = None
    first_token_seconds: float | None = None
    dropped_messages: int = 0  # oldest messages left out because the context was full
    injected: list[int] = []  # ids of the examples that were put into the context
    adapters: list[AppliedView] = []  # that were added to the version
    feedback: FeedbackReceipt | None = None  # when the newest message was in-band feedback


class ChatChoice(BaseModel):
    index: int = 0
    message: ChatMessage
    finish_reason: str


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    shammah: ShammahInfo


# --- feedback and examples --------------------------------------------------------------------


class FeedbackRequest(BaseModel):
    """POST /v1/feedback. Without `inference_id` the newest answer is meant."""

    inference_id: str | None = None
    level: Level
    note: str | None = None
    correction: str | None = None


class FixRequest(BaseModel):
    """POST /api/examples/fix: the target of `example_id`, or of the answer `inference_id`, which is
    marked as medium where it was not marked before; without either, of the newest feedback."""

    correction: str
    example_id: Id | None = None
    inference_id: str | None = None


class FeedbackReceipt(BaseModel):
    """What was recorded, and what follows from it."""

    feedback_id: int | None
    example_id: int
    inference_id: str  # empty: the example came from a file
    level: Level
    weight: int
    status: ExampleStatus
    target: str | None
    waiting: int  # ready examples that the active version was not taught
    missing: int  # how many more start a lesson by themselves
    job_id: int | None  # the lesson that this feedback started
    secrets: list[str] = []  # kinds of likely secrets; a held example waits for the user's word
    duplicates: list[int] = []  # ready examples that ask and say the same
    contradicts: list[int] = []  # ready examples that ask the same and say something else
    message: str  # one or two sentences for the user


class Draft(BaseModel):
    """POST /api/examples/{id}/draft: a proposal for the target."""

    example_id: int
    text: str
    source: Literal["note", "model", "none"]


InboxKind = Literal["secret", "contradiction", "duplicate", "draft"]


class ExampleView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    status: ExampleStatus
    level: Level
    weight: int
    question: str
    messages: list[dict[str, str]]
    target: str | None
    rejected: str | None
    note: str | None
    created_at: str
    updated_at: str
    superseded_by: int | None = None
    source: str | None = None  # the file that it came from; None: an answer that was marked
    taught: bool = False  # whether the active version was taught its present content
    verdict: Verdict | None = None  # of the newest gate that judged it


class ExampleList(BaseModel):
    data: list[ExampleView]
    has_more: bool = False


class ImportRequest(BaseModel):
    """POST /api/examples/import: a file of examples, one JSON object a line."""

    lines: str
    source: str = Field(min_length=1, max_length=255)  # what the user calls the file


class RefusedLine(BaseModel):
    line: int
    problem: str


class ImportReceipt(BaseModel):
    """What became of a file's lines."""

    source: str
    added: int
    drafts: int  # of those that were added: they need an answer first
    held: int  # of those that were added: what may hold a secret
    duplicates: int  # known before, or twice in the file
    refused: list[RefusedLine]
    missing: int  # how many more start a lesson by themselves
    job_id: int | None  # the lesson that this import started
    message: str  # for the user


class InboxItem(BaseModel):
    """Something that waits for the user's word."""

    kind: InboxKind
    example: ExampleView  # of two that ask the same: the newer one
    older: ExampleView | None = None
    secrets: list[str] = []


class SettleRequest(BaseModel):
    """POST /api/inbox/settle: which of two examples holds; None where both do."""

    first_id: Id
    second_id: Id
    holds_id: Id | None = None


class WhyView(BaseModel):
    """GET /api/turns/{id}/why: where an answer came from."""

    id: str
    created_at: str
    base: str
    version: int  # that answered; 0 is the base
    question: str
    injected: list[ExampleView]  # the corrections that stood in the context, as they are now
    adapters: list[AppliedView] = []  # that were added to the version


# --- sessions ---------------------------------------------------------------------------------


class SessionView(BaseModel):
    """A conversation that is kept."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str | None
    created_at: str
    updated_at: str
    exchanges: int
    opening: str  # its first question
    found: str = ""  # of a search: what was said there


class SaidView(BaseModel):
    """One exchange of a session."""

    model_config = ConfigDict(from_attributes=True)

    id: str  # the answer's
    created_at: str
    base: str
    version: int
    system: str
    question: str
    answer: str
    correction: str | None  # what the user accepted instead of the answer
    finish_reason: str


class SessionDetail(SessionView):
    """GET /api/sessions/{id}."""

    said: list[SaidView]


class SessionList(BaseModel):
    """GET /api/sessions."""

    data: list[SessionView]


class RenameRequest(BaseModel):
    """PATCH /api/sessions/{id}. None takes the name away."""

    name: str | None = Field(max_length=200)


class ForkRequest(BaseModel):
    """POST /api/sessions/{id}/fork."""

    exchanges: int | None = Field(None, ge=1)  # of its beginning; else all


class DeletedSession(BaseModel):
    """What deleting a session left."""

    session_id: int
    examples: list[int]  # that came of it; they stay with what they teach
    message: str  # for the user


# --- jobs and versions ------------------------------------------------------------------------


class TrainRequest(BaseModel):
    """POST /api/jobs."""

    mode: LessonMode = Mode.CONSOLIDATE
    preset: Preset = "standard"
    options: dict[str, Any] = {}  # of the settings' [training], for this lesson alone


class TriedView(BaseModel):
    """An attempt that failed, and what was changed for the next one."""

    model_config = ConfigDict(from_attributes=True)

    stage: JobState
    failure: str
    message: str
    said: str  # the change in words


class EstimateView(BaseModel):
    """What a lesson will take, or took."""

    seconds: float
    training_seconds: float
    memory_bytes: int  # the peak of the training child; 0 where it was not measured
    disk_bytes: int  # while it runs
    tokens: int  # that training computes
    basis: str  # what the times are taken from, in words; "measured" after the job
    kwh: float | None = None  # where `machine.watts` is set
    cost: float | None = None  # where `machine.price_per_kwh` is set too


class PlanLine(BaseModel):
    """One choice of a plan with its reason."""

    name: str
    choice: str
    reason: str


class PlanView(BaseModel):
    """GET /api/plan: how a lesson would compute on this machine, and why."""

    base: str
    device: Literal["cuda", "mps", "cpu"]
    precision: Literal["bfloat16", "float32"]
    four_bit: bool
    max_tokens: int  # of one pass: the micro-batch
    passes: int  # a step: the accumulation
    recompute: bool  # activations are computed again instead of kept
    predicted_bytes: int  # peak of the training child
    lines: list[PlanLine]
    shortage: str | None  # what is missing, in a few words
    estimate: EstimateView | None  # None: there is nothing to teach yet


class JobView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    base: str
    mode: Mode
    state: JobState
    attempt: int
    version: int | None
    error: str | None
    hint: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    progress: dict[str, Any]  # see JobEvent.data of kind "progress"
    report: dict[str, Any] | None
    told_at: str | None = None  # when the user was told how it ended
    stage: JobState | None = None  # where it works, or worked when it paused or ended
    heartbeat_at: str | None = None  # the last sign of life of its work
    paused_for: PauseReason | None = None
    tried: list[TriedView] = []
    cause: Cause = Cause.USER  # why it was started
    summary: str = ""  # one sentence: "learned 9 of 10; 1 still wrong"
    preset: Preset = "standard"
    options: dict[str, Any] = {}  # of [training], for this lesson alone
    recipe: dict[str, Any] | None = None  # the hyperparameters as they were resolved
    estimate: EstimateView | None = None  # told when it was queued
    took: EstimateView | None = None  # the same, measured, once it has ended


class StepView(BaseModel):
    """One optimizer step of GET /api/jobs/{id}/steps."""

    model_config = ConfigDict(extra="ignore")

    step: int
    loss: float  # NLL and weighted KL, nats a token
    nll: float
    kl: float
    learning_rate: float | None = None
    gradient_norm: float | None = None  # before it was clipped
    token_accuracy: float | None = None  # share of the taught tokens that were the likeliest
    skipped: bool = False  # the loss jumped: nothing was changed
    held_out_nll: float | None = None  # where it was measured after this step
    held_out_accuracy: float | None = None


class JobEvent(BaseModel):
    """One server-sent event of /api/jobs/{id}/events or /api/jobs/events.

    kind "state": data = {state, summary, version, error, hint}
    kind "progress": data = {stage, fraction, step?, steps?, loss?, kl?, token_accuracy?,
    held_out_loss?, held_out_perplexity?, held_out_accuracy?, learning_rate?, gradient_norm?,
    skipped_steps?, tokens_per_second?, seconds_left?, detail?}
    """

    id: int
    job_id: int
    at: str
    kind: Literal["state", "progress"]
    data: dict[str, Any]


class VotesView(BaseModel):
    """How the version did in blind comparisons."""

    model_config = ConfigDict(from_attributes=True)

    won: int = 0
    lost: int = 0
    tied: int = 0


class VersionView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    number: int
    base: str
    active: bool = False
    job_id: int | None = None
    quantization: str
    size_bytes: int  # of the model file
    sha256: str
    created_at: str
    disk_bytes: int = 0  # of all its files
    pruned_at: str | None = None  # since then its files are gone
    manifest: dict[str, Any] = {}
    report: dict[str, Any] = {}
    summary: str = ""
    votes: VotesView = VotesView()


class CompareRequest(BaseModel):
    """POST /api/versions/compare. Left out: the version before the active one, and the active one.

    Version 0 is the base of the other version, or the active base.
    """

    first: Id | None = None
    second: Id | None = None
    question: str = Field(min_length=1)


class ComparedAnswer(BaseModel):
    version: int
    base: str
    text: str


class Comparison(BaseModel):
    """The greedy answers of two versions to one question."""

    first: ComparedAnswer
    second: ComparedAnswer


class VoteRequest(BaseModel):
    """POST /api/versions/votes: which answer of a comparison was better, seen blindly."""

    first: Id
    second: Id
    better: Preference


class PushRequest(BaseModel):
    """POST /api/versions/{number}/push."""

    repository: str  # hf:OWNER/NAME
    public: bool = False
    message: str | None = Field(None, min_length=1, max_length=500)  # of the commit


class PushReceipt(BaseModel):
    """Where a version's adapter is now."""

    version: int
    url: str
    commit: str
    private: bool
    files: list[str]


class ForgetRequest(BaseModel):
    """POST /api/examples/{id}/forget."""

    now: bool = False  # start the lesson that unlearns it


class ForgetReceipt(BaseModel):
    """What was erased, and what still knows it."""

    example_id: int
    inference_ids: list[str]  # the answers that are gone
    also_in: list[int]  # other examples that hold some of its words; they stay
    active_version: int | None  # the active version, if it was taught it
    versions: list[int]  # all that were taught it
    job_id: int | None  # the lesson that teaches the rest
    message: str  # for the user


class PruneRequest(BaseModel):
    """POST /api/versions/prune."""

    keep: int | None = Field(None, ge=1)  # newest ones of each base; else `learning.keep_versions`
    dry_run: bool = False  # only say what would go


class PruneReceipt(BaseModel):
    """What was pruned, or would be."""

    model_config = ConfigDict(from_attributes=True)

    pruned: list[int]  # versions whose files are gone
    kept: dict[int, str]  # why, by version
    freed_bytes: int


class RollbackRequest(BaseModel):
    """POST /api/versions/rollback: to `version`, or to the one that was active before."""

    version: Id | None = None


class RollbackProposal(BaseModel):
    """The active version does worse than it should: a rollback would help."""

    version: int
    leads_to: int  # the version that a rollback serves; 0 is the base itself
    base: str  # of that version
    reason: str  # a clause: "2 lessons that it was taught had to be corrected again"


# --- adapters ---------------------------------------------------------------------------------

Scale = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]

ExportKind = Literal["peft", "gguf", "merged-gguf", "merged-safetensors", "ollama"]


class AdapterView(BaseModel):
    """An adapter: that of a version, or one that was imported."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    source: Literal["version", "imported"]
    version: int | None = None  # whose it is
    base: str
    base_sha256: str
    rank: int
    alpha: float
    scaling: float  # of what is added: alpha / rank, or alpha / sqrt(rank)
    modules: list[str]  # which layers it changes
    size_bytes: int  # of the GGUF file
    origin: str  # where it came from
    remark: str = ""  # what to know of it
    created_at: str
    files: dict[str, str]  # sha256 by path
    loaded: bool = False  # it is added to what serves
    scale: float | None = None  # with which it was loaded, on its base
    problem: str | None = None  # why it cannot be added to what serves


class ImportAdapterRequest(BaseModel):
    """POST /api/adapters: take in a PEFT folder."""

    path: str  # absolute
    name: str | None = None  # else its folder's
    base: str | None = None  # that it is for; else the active one


class LoadAdapterRequest(BaseModel):
    """POST /api/adapters/{name}/load."""

    scale: Scale = 1.0  # times its effect


class AdapterPart(BaseModel):
    """An adapter, and how much of it."""

    name: str
    scale: Scale = 1.0


class ExportRequest(BaseModel):
    """POST /api/adapters/export. Several adapters are merged together."""

    adapters: list[AdapterPart] = Field(min_length=1, max_length=16)
    kind: ExportKind
    destination: str  # absolute; nothing may be there
    quantization: str | None = None  # of a merged GGUF; else Q8_0


class ExportEvent(BaseModel):
    """One server-sent event of an export; the last one has the kind "done"."""

    kind: Literal["progress", "done"]
    stage: str = ""  # merging, quantizing, writing
    fraction: float = 0.0
    path: str | None = None  # what was written
    size_bytes: int | None = None
    quantization: str | None = None  # of a merged model; may differ from the one asked for


# --- bases and status -------------------------------------------------------------------------


class AddBaseRequest(BaseModel):
    """POST /api/bases. `path` and `weights` may be references to the Hugging Face hub."""

    path: str
    name: str | None = None
    weights: str | None = None
    stream: bool = False  # tell how far it is: AddBaseEvent after AddBaseEvent


class AddBaseProgress(BaseModel):
    """How far the files of a base have arrived."""

    stage: Literal["downloading", "verifying"]
    file: str
    done_bytes: int
    total_bytes: int


class AddBaseEvent(BaseModel):
    """One event of POST /api/bases with `stream`; the last one has the base."""

    progress: AddBaseProgress | None = None
    base: BaseView | None = None


class UseBaseRequest(BaseModel):
    """POST /api/bases/{name}/use."""

    now: bool = False  # serve it at once, without what was taught


class BaseView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    architecture: str
    parameters: int
    quantization: str
    size_bytes: int
    context_tokens: int
    gguf: str
    sha256: str
    weights: str | None
    source: str | None = None  # hf:OWNER/NAME/FILE@COMMIT that it was fetched from
    weights_source: str | None = None
    active: bool = False
    prepared: Literal["ready", "preparing", "no", "failed"] = "no"
    problem: str | None = None  # why it cannot be taught
    job_id: int | None = None  # the unfinished job that teaches it what was taught, to serve then


EngineState = Literal["ready", "loading", "swapping", "stopped", "failed"]


class EngineStatus(BaseModel):
    state: EngineState
    pid: int | None = None
    context_tokens: int | None = None
    memory_bytes: int | None = None
    active_requests: int = 0
    problem: str | None = None


class DiskView(BaseModel):
    """What takes how much of the disk."""

    model_config = ConfigDict(from_attributes=True)

    database_bytes: int
    bases_bytes: int
    jobs_bytes: int
    versions_bytes: int
    adapters_bytes: int = 0
    logs_bytes: int
    free_bytes: int


class ForecastView(BaseModel):
    """What the next lesson takes, and what there is."""

    disk_bytes: int
    memory_bytes: int
    disk_free_bytes: int
    memory_available_bytes: int
    memory_total_bytes: int
    shortage: str | None  # what is missing, in a few words


class Status(BaseModel):
    """GET /api/status."""

    version: str  # of the software
    pid: int
    uptime_seconds: float
    base: str | None
    active_version: int
    adapters: list[AppliedView] = []  # that are added to it
    engine: EngineStatus
    examples: dict[str, int]  # by status
    inbox: dict[InboxKind, int] = {}  # what waits for the user's word
    unlearning: list[int] = []  # forgotten examples that the active version was taught
    obsolete: list[int] = []  # versions that know what is forgotten, and the active one does not
    waiting: int  # ready examples that the active version was not taught
    missing: int  # how many more start a lesson by themselves
    threshold: int
    job: JobView | None  # the unfinished one, if any
    waits: str | None = None  # why that one has not begun: "on battery"
    last_job: JobView | None  # the newest finished one
    next_night: str | None = None  # local time, ISO 8601; None: the night teaches nothing
    disk: DiskView | None = None
    forecast: ForecastView | None = None
    preparation: BaseView | None
    proposal: RollbackProposal | None = None
    home: str
    log_file: str


class BackupRequest(BaseModel):
    """POST /api/backup."""

    models: bool = True  # the versions too; without them the base serves what is restored


# --- hardware ---------------------------------------------------------------------------------

HistorySpan = Literal["hour", "day"]


class GpuSample(BaseModel):
    """One GPU; None is what its driver does not tell."""

    name: str
    utilisation_percent: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    serving_bytes: int  # of the used: the engine that answers
    training_bytes: int  # of the used: stages and candidates
    temperature_celsius: float | None
    power_watts: float | None


class HardwareSample(BaseModel):
    """GET /api/hardware: the machine now."""

    at: float  # seconds since the epoch
    cpu_percent: list[float]  # of each core
    memory_used_bytes: int
    memory_total_bytes: int
    swap_used_bytes: int
    swap_total_bytes: int
    disk_used_bytes: int  # of the home's disk
    disk_total_bytes: int
    temperature_celsius: float | None  # of the hottest sensor
    on_battery: bool | None  # None: there is no battery
    gpus: list[GpuSample]


class HardwarePoint(BaseModel):
    """Means over one step of time; of temperatures the highest."""

    at: float  # where the step begins, seconds since the epoch
    cpu_percent: float  # of all cores
    memory_used_bytes: int
    swap_used_bytes: int
    temperature_celsius: float | None
    gpu_percent: float | None  # None: there is no GPU, or it does not tell
    gpu_memory_used_bytes: int | None
    gpu_temperature_celsius: float | None


class HardwareHistory(BaseModel):
    """GET /api/hardware/history: oldest first."""

    span: HistorySpan
    step_seconds: float
    data: list[HardwarePoint]


class Integrity(BaseModel):
    """GET /api/integrity: what is wrong inside the database."""

    problems: list[str]


LogSource = Literal["daemon", "stages", "engine"]


class LogLine(BaseModel):
    """One line of a log. No line holds a question, an answer or a note."""

    source: LogSource
    at: str | None = None  # None where the writer gave no time
    level: str
    text: str
    trace: str | None = None  # of an error


class LogTail(BaseModel):
    """GET /api/logs."""

    data: list[LogLine]
    next: str  # what to give as `after` for what comes next


class SettingView(BaseModel):
    """One setting of GET /api/config. Values are written as in `shammah config set`."""

    key: str
    description: str
    limits: str  # "1 to 64", "at least 0"; empty where any value will do
    choices: list[str] = []
    default: str
    running: str  # what the daemon works with
    value: str  # what holds when it starts again
    source: Literal["default", "file", "environment"]
    read_by: Literal["daemon", "chat"] = "daemon"  # the chat reads its own when it starts

    @property
    def needs_restart(self) -> bool:
        return self.read_by == "daemon" and self.value != self.running


class SettingChange(BaseModel):
    """PUT /api/config/{key}: the value as in TOML; None for the default."""

    value: str | None = None


class Health(BaseModel):
    """GET /health: open, says nothing about the user."""

    status: Literal["ok"] = "ok"
    pid: int
    version: str


AddBaseEvent.model_rebuild()
ShammahInfo.model_rebuild()
ChatCompletion.model_rebuild()
