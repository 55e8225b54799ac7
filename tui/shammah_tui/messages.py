"""What has happened at the daemon, told to the screens; knows neither threads nor widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from shammah.errors import ShammahError
from shammah.protocol import (
    AdapterView,
    Comparison,
    Draft,
    ExampleView,
    ExportEvent,
    HardwareHistory,
    HardwareSample,
    InboxItem,
    JobEvent,
    JobView,
    LogTail,
    PlanView,
    SettingView,
    Status,
    StepView,
    VersionView,
)


@dataclass(frozen=True)
class Snapshot:
    """What the daemon said of itself at one moment."""

    status: Status
    jobs: list[JobView]  # newest first
    versions: list[VersionView]  # newest first

    @property
    def active(self) -> VersionView | None:
        """The version that answers; version 0 is the base itself."""
        return next((version for version in self.versions if version.active), None)


@dataclass(frozen=True)
class JobRecord:
    """One job with all that it left behind."""

    job: JobView
    steps: list[StepView]
    states: list[JobEvent]
    questions: dict[int, str]  # of the examples it was about; forgotten ones are left out


class DaemonSeen(Message):
    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class DaemonLost(Message):
    """The daemon does not answer, or answers with an error only."""

    def __init__(self, error: ShammahError) -> None:
        super().__init__()
        self.message = error.message
        self.hint = error.hint


class JobMoved(Message):
    """A job entered another state, or made progress in the one it is in."""

    def __init__(self, event: JobEvent) -> None:
        super().__init__()
        self.event = event


class JobFetched(Message):
    def __init__(self, record: JobRecord) -> None:
        super().__init__()
        self.record = record


class ExamplesFetched(Message):
    def __init__(self, examples: list[ExampleView], inbox: list[InboxItem]) -> None:
        super().__init__()
        self.examples = examples  # newest first
        self.inbox = inbox


class InboxFetched(Message):
    def __init__(self, inbox: list[InboxItem]) -> None:
        super().__init__()
        self.inbox = inbox


class DraftMade(Message):
    """The daemon proposes a target."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft


class VersionFetched(Message):
    def __init__(self, version: VersionView, questions: dict[int, str]) -> None:
        super().__init__()
        self.version = version
        self.questions = questions  # by example id; forgotten ones are left out


class AnswersCompared(Message):
    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self.comparison = comparison


class HardwareFetched(Message):
    def __init__(self, sample: HardwareSample, history: HardwareHistory | None) -> None:
        super().__init__()
        self.sample = sample
        self.history = history  # None where only the present was asked for


class LogsFetched(Message):
    def __init__(self, tail: LogTail) -> None:
        super().__init__()
        self.tail = tail


class SettingsFetched(Message):
    def __init__(self, settings: list[SettingView]) -> None:
        super().__init__()
        self.settings = settings


class AdaptersFetched(Message):
    def __init__(self, adapters: list[AdapterView]) -> None:
        super().__init__()
        self.adapters = adapters  # those of the versions first, newest first


class ExportMoved(Message):
    """An export is so far, or done."""

    def __init__(self, event: ExportEvent) -> None:
        super().__init__()
        self.event = event


class MaterialFetched(Message):
    """What the next lesson could be made of."""

    def __init__(self, examples: list[ExampleView], settings: list[SettingView]) -> None:
        super().__init__()
        self.examples = examples
        self.settings = settings  # of [training]


class PlanFetched(Message):
    def __init__(self, plan: PlanView) -> None:
        super().__init__()
        self.plan = plan


class OptionTaken(Message):
    """The daemon could train with what was typed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class FetchFailed(Message):
    """What a page asked for does not come; the link tells why."""


class ChangeMade(Message):
    """What a key asked for is done."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class RequestRefused(Message):
    """What a key asked for was not done."""

    def __init__(self, error: ShammahError) -> None:
        super().__init__()
        self.message = error.message
        self.hint = error.hint


class LinkBroke(Message):
    """A thread of the link ended by a defect of ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
