"""One chat: asks, judges, corrects and trains through the client; draws nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from shammah.client import ChatChunk, Client
from shammah.completions import Usage
from shammah.config import ChatConfig
from shammah.errors import JobError, NotFound, ShammahError, UsageError
from shammah.protocol import (
    Comparison,
    FeedbackReceipt,
    JobEvent,
    JobView,
    ShammahInfo,
    WhyView,
)
from shammah.records import (
    JobState,
    LessonMode,
    Level,
    Message,
    Preference,
    Preset,
    Verdict,
)
from shammah.repl import views
from shammah.repl.asker import Asker
from shammah.repl.comparing import Wish, verdict
from shammah.repl.conversation import Conversation, Exchange
from shammah.repl.estimates import in_words, queued
from shammah.repl.follow import follow
from shammah.repl.forget import delete_obsolete, forget
from shammah.repl.review import review
from shammah.repl.views import Grid
from shammah.repl.wording import job_news, job_view_end, remarks
from shammah.wording import moment

#: Greedy decoding would give the same answer again.
RETRY_TEMPERATURE = 0.7


class Screen(Protocol):
    """Where a chat is shown: a terminal or a pipe."""

    has_reader: bool  # a user sees what is shown

    def say(self, text: str) -> None:
        """A diagnostic of this turn."""

    def notify(self, text: str) -> None:
        """A line from any thread that must not disturb what is being typed or drawn."""

    def fail(self, error: ShammahError) -> None:
        """An error, and the way out."""

    def show(self, text: str) -> None:
        """Something the user asked to see."""

    def show_grid(self, grid: Grid) -> None:
        """A table the user asked to see."""

    def show_answer(self, pieces: Iterator[str]) -> None:
        """An answer while it comes; on an exception shows what there is and lets it pass."""

    def show_progress(self, events: Iterator[JobEvent]) -> None:
        """A job, until its events end."""

    def show_comparison(self, found: Comparison) -> None:
        """Two answers side by side, with the names of their versions."""

    def ask_preference(self, found: Comparison, swapped: bool) -> Preference:
        """The same without the names, the second first where `swapped`; which is better?"""

    def ask_correction(self, answer: str, draft: Callable[[], str]) -> str:
        """What `answer` should have been; empty to leave it open."""

    def propose(self, line: str) -> None:
        """The next prompt begins with it: what was typed is not lost."""

    def copy(self, text: str) -> None:
        """Put it on the user's clipboard. Raises UsageError where there is none."""

    @property
    def asker(self) -> Asker | None:
        """Who can be asked; None where nobody is there."""


@dataclass
class _Answer:
    """Collects a streamed answer while it is drawn."""

    text: str = ""
    id: str | None = None
    finish_reason: str | None = None
    info: ShammahInfo | None = None
    usage: Usage | None = None

    @property
    def version(self) -> int | None:
        return self.info.version if self.info else None

    def read(self, chunks: Iterator[ChatChunk]) -> Generator[str]:
        for chunk in chunks:
            self.id = chunk.id
            self.text += chunk.text
            self.finish_reason = chunk.finish_reason or self.finish_reason
            self.info = chunk.info or self.info
            self.usage = chunk.usage or self.usage
            if chunk.text:
                yield chunk.text


class Chat:
    """The state of a chat and what can be done in it.

    Args:
        seed: a new random number, for `/retry` and for the order of a blind comparison.
    """

    def __init__(
        self, client: Client, screen: Screen, settings: ChatConfig, seed: Callable[[], int]
    ) -> None:
        self.client = client
        self.screen = screen
        self.conversation = Conversation()
        self.session: int | None = None  # that answers are recorded in; None before the first
        self.options: dict[str, float | int] = {}  # of sampling, beside the settings
        self.attached: list[str] = []  # texts of files that go into the next question
        self.speed: float | None = None  # tokens/s of the last answer
        self.context_tokens = 0  # that the conversation takes
        self.leaving = False
        self.settings = settings
        self._seed = seed
        self._receipt: FeedbackReceipt | None = None  # of the newest feedback given here
        self._announced: set[int] = set()  # jobs whose end was said, or is waited for
        self._announcing = threading.Lock()

    # questions

    def ask(self, question: str) -> None:
        """Ask, show the answer, and keep both; what came before a stop or an error is kept too."""
        question = "\n\n".join([*self.attached, question])

        def keep(exchange: Exchange) -> None:
            self.conversation.add(exchange)
            if exchange.id is not None:  # else it was never asked
                self.attached.clear()

        again = self.conversation.has_asked(question)
        version = self.client.status().active_version if again else None
        self._exchange(self.conversation.messages(question, version), question, keep)

    def retry(self) -> None:
        """Ask the last question again; the new answer takes the place of the old one."""
        last = self.conversation.last
        if last is None:
            raise UsageError("there is no question to ask again", hint="ask one first")

        def replace(exchange: Exchange) -> None:
            self.conversation.replace_last(exchange)
            if exchange.id is not None:  # what was attached to a question never asked goes with it
                self.attached = [text for text in self.attached if text not in last.question]
            if exchange.answer:
                self._take_back(last)

        self._exchange(
            self.conversation.before_last().messages(last.question),
            last.question,
            replace,
            temperature=self.options.get("temperature")
            or self.settings.temperature
            or RETRY_TEMPERATURE,
            seed=self._seed(),
        )

    def undo(self) -> Exchange:
        """Take the last question and its answer out of the conversation."""
        last = self.conversation.last
        if last is None:
            raise UsageError("there is nothing to undo", hint="ask something first")
        self._take_back(last)
        self.go_on(self.session, self.conversation.before_last())
        return last

    def clear(self) -> None:
        """Begin a new conversation in a session of its own; the system prompt stays."""
        self.conversation.clear()
        self.go_on(None, self.conversation)

    def go_on(self, session: int | None, conversation: Conversation) -> None:
        """From here; how much of the context it takes, its next answer tells."""
        self.session, self.conversation = session, conversation
        self.speed, self.context_tokens = None, 0

    @property
    def can_judge(self) -> bool:
        """Whether the last answer is there to be marked, and is not yet."""
        last = self.conversation.last
        judged = self._receipt.inference_id if self._receipt else None
        return last is not None and last.id is not None and last.id != judged

    @property
    def answer(self) -> Exchange:
        """The last one. Raises UsageError before it."""
        last = self.conversation.last
        if last is None or not last.answer:
            raise UsageError("there is no answer yet", hint="ask something first")
        return last

    def _take_back(self, exchange: Exchange) -> None:
        if self.session is not None and exchange.id is not None:
            with suppress(NotFound):  # it broke off before it was recorded
                self.client.take_back(self.session, exchange.id)

    def _exchange(
        self,
        messages: list[Message],
        question: str,
        keep: Callable[[Exchange], None],
        **options: Any,
    ) -> None:
        answer = _Answer()
        if self.session is None:
            self.session = self.client.begin_session().id
        options = {**self.options, **options, "session": self.session}
        try:
            with closing(self.client.chat_stream(messages, **options)) as chunks:
                self.screen.show_answer(answer.read(chunks))
        except NotFound as error:
            self.session = None
            raise NotFound(
                f"{error.message}: it was deleted", hint="ask again, in a new session"
            ) from error
        except (KeyboardInterrupt, ShammahError):
            keep(Exchange(question, answer.text, answer.id, True, answer.version))
            raise
        keep(Exchange(question, answer.text, answer.id, version=answer.version))
        self.speed = answer.info.tokens_per_second if answer.info else None
        self.context_tokens = answer.usage.total_tokens if answer.usage else 0
        self._remark(answer)

    def _remark(self, answer: _Answer) -> None:
        for line in remarks(answer.info) if answer.info else []:
            self.screen.say(line)
        if answer.finish_reason == "length":
            self.screen.say("the answer was cut at its longest length (chat.max_tokens)")

    def why(self) -> WhyView:
        """Where the last answer came from."""
        last = self.conversation.last
        if last is None or last.id is None:
            raise UsageError("there is no answer yet", hint="ask something first")
        return self.client.why(last.id)

    # feedback

    def judge(self, level: Level, note: str) -> None:
        """Record feedback on the last answer; ask for the right one if it was wrong."""
        last = self.conversation.last
        if last is None or last.id is None:
            raise UsageError("there is no answer to judge yet", hint="ask something first")
        if level is Level.GOOD and last.stopped:  # learned, it would break off there for good
            raise UsageError("the last answer is only a part", hint="/retry gives a whole one")
        receipt = self.client.feedback(level, last.id, note or None)
        self._receipt = receipt
        self.screen.say(receipt.message)
        if level is Level.GOOD:
            return
        correction = self.screen.ask_correction(
            last.answer, lambda: self._draft(receipt.example_id)
        )
        if not correction:
            return
        try:
            self._correct(correction, last.id)
        except ShammahError:
            self.screen.propose(f"/fix {correction}")
            raise

    def fix(self, correction: str) -> None:
        """Set the target of the last answer; before there is one, of the newest feedback.

        Raises:
            UsageError: nothing is given, or the last answer is not recorded: its correction must
                not become the target of an older question.
        """
        if not correction:
            raise UsageError("the correction is empty", hint="/fix ANSWER")
        if last := self.conversation.last:
            if last.id is None:
                raise UsageError("the last answer broke off at once", hint="/retry asks again")
            self._correct(correction, last.id)
        else:
            self._correct(correction, self._receipt.inference_id if self._receipt else None)

    def _correct(self, correction: str, inference_id: str | None) -> None:
        receipt = self.client.fix(correction, inference_id=inference_id)
        self._receipt = receipt
        # The conversation goes on from the truth: the next answer must not build on the bad one.
        self.conversation.replace_answer(receipt.inference_id, correction)
        self.screen.say(receipt.message)

    def _draft(self, example_id: int) -> str:
        """A proposal for the correction; without one the user writes from nothing."""
        try:
            return self.client.draft(example_id).text
        except ShammahError as error:
            self.screen.say(f"no draft: {error.message}")
            return ""

    def review(self) -> None:
        """Go through the inbox with the user; list it where nobody can be asked."""
        if self.screen.asker is None:
            self.screen.show_grid(views.inbox(self.client.inbox()))
        else:
            review(self.client, self.screen.asker)

    def forget(self, example_id: int, *, now: bool, yes: bool) -> None:
        """Forget an example, here too: what is in this conversation would be asked with again."""
        asker = None if yes else self.screen.asker
        receipt = forget(
            self.client,
            example_id,
            asker=asker,
            say=self.screen.say,
            show_progress=self._show_claimed,
            now=now,
        )
        if receipt is not None:
            self.conversation.remove(receipt.inference_ids)
            delete_obsolete(self.client, asker=asker, say=self.screen.say, yes=yes)

    def _show_claimed(self, events: Iterator[JobEvent]) -> None:
        """Progress of a job whose end is told here."""

        def claimed() -> Iterator[JobEvent]:
            for event in events:
                self._claim(event.job_id)
                yield event

        self.screen.show_progress(claimed())

    # versions

    def compare(self, wish: Wish) -> None:
        """Show what two versions answer; blindly, with a vote that is recorded."""
        found = self.client.compare(wish.question, wish.first, wish.second)
        if not wish.blind:
            self.screen.show_comparison(found)
            return
        better = self.screen.ask_preference(found, swapped=bool(self._seed() % 2))
        self.client.vote(found.first.version, found.second.version, better)
        self.screen.say(verdict(found, better))

    # jobs

    def train(
        self, mode: LessonMode, *, wait: bool, preset: Preset, options: Mapping[str, Any]
    ) -> None:
        """Queue a job; with `wait`, follow it to its end.

        Raises:
            JobError: it was waited for and has not promoted a version.
        """
        job = self.client.train(mode, preset, options)
        if not wait:
            self.screen.say(queued(job))
            return
        if job.estimate:
            self.screen.say(f"it will take about {in_words(job.estimate)}")
        self._claim(job.id)
        self.screen.show_progress(follow(self.client, job.id))
        self._conclude(self.client.job(job.id))

    def _conclude(self, job: JobView) -> None:
        self._note_told(job)
        if job.state is not JobState.PROMOTED:
            raise JobError(job_view_end(job), hint=job.hint or f"see 'shammah jobs show {job.id}'")
        self.screen.say(job_view_end(job) + self._context_kept(job))

    def job_ended(self, job_id: int, line: str) -> None:
        """Tell that a job has ended, once; called from the watching thread."""
        if not self._claim(job_id):
            return
        try:
            self._tell(self.client.job(job_id))
        except ShammahError:  # the daemon has gone: the line is all there is to say
            self.screen.notify(line)

    def catch_up(self) -> None:
        """Tell of the jobs that ended while nobody was here."""
        with suppress(ShammahError):  # no daemon, or it has just gone: said at the next start
            for job in self.client.untold_jobs():
                if self._claim(job.id):
                    self._tell(job, f"while you were away ({moment(job.finished_at)}), ")

    def _tell(self, job: JobView, opening: str = "") -> None:
        verdicts = (job.report or {}).get("verdicts", [])
        wrong = [v["example_id"] for v in verdicts if v["verdict"] != Verdict.LEARNED]
        questions = [self._question(example_id) for example_id in wrong]
        news = job_news(job, [one for one in questions if one])
        self.screen.notify(opening + news + self._context_kept(job))
        self._note_told(job)

    def _context_kept(self, job: JobView) -> str:
        """What a version that has just taken over means for a conversation under way."""
        if job.state is not JobState.PROMOTED or not self.conversation.exchanges:
            return ""
        return "\n  The answers above are still in its context: /clear begins without them."

    def _question(self, example_id: int) -> str:
        """Empty if it was erased."""
        try:
            return self.client.example(example_id).question
        except NotFound:
            return ""

    def _note_told(self, job: JobView) -> None:
        """Not to be told again; unless nobody reads what is shown here."""
        if self.screen.has_reader and job.state.is_final:
            self.client.mark_told(job.id)

    def _claim(self, job_id: int) -> bool:
        """Whether nobody has taken it on to tell of this job's end."""
        with self._announcing:
            unclaimed = job_id not in self._announced
            self._announced.add(job_id)
            return unclaimed
