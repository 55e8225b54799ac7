"""Lines of files into examples, under the rules that hold for all examples. Knows no HTTP.

Duplicates are not added, likely secrets are held, two answers to one question wait in the inbox,
and what the model could not read as a whole is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shammah.bases.template import ChatTemplate
from shammah.config import LearningConfig
from shammah.errors import BaseModelError, EngineError, UsageError
from shammah.feedback.lines import parse, split
from shammah.feedback.secrets import secrets_in
from shammah.protocol import ImportReceipt, RefusedLine
from shammah.records import Example, ExampleStatus, Job
from shammah.wording import count
from shammah_daemon.database import Database
from shammah_daemon.learning import Learning, fresh_count, guarded
from shammah_daemon.serving import Lease, Serving
from shammah_daemon.twins import compare

#: More at once would hold up the database's thread.
MAX_LINES = 10_000


@dataclass(frozen=True)
class Read:
    """What lines are, by their numbers."""

    examples: dict[int, Example]  # not stored yet
    refused: dict[int, str]  # why


@dataclass(frozen=True)
class Added:
    """What became of lines that are examples."""

    new: list[Example]
    duplicates: int

    @classmethod
    def of(cls, stored: Sequence[tuple[Example, bool]]) -> Added:
        new = [example for example, is_new in stored if is_new]
        return cls(new, len(stored) - len(new))

    def count(self, status: ExampleStatus) -> int:
        return sum(example.status is status for example in self.new)


class Importing:
    """Reads lines and adds what they teach."""

    def __init__(
        self,
        config: LearningConfig,
        database: Database,
        serving: Serving,
        learning: Learning,
    ) -> None:
        self._config = config
        self._database = database
        self._serving = serving
        self._learning = learning

    async def add(self, text: str, source: str) -> ImportReceipt:
        """Add every line that is an example; durable when this returns. The threshold holds as for
        feedback.

        Raises:
            UsageError: no line, or too many.
        """
        read = await self.read(numbered(split(text.encode())), source)
        stored = await self._database.run(
            lambda store: store.examples.add_unknown(read.examples.values())
        )
        added = Added.of(stored)
        await self.follow_up(added)
        job = await self._learning.start_if_due()
        fresh, running = await self._database.run(
            lambda store: (fresh_count(store), store.jobs.unfinished())
        )
        missing = max(self._config.threshold_examples - fresh, 0)
        return ImportReceipt(
            source=source,
            added=len(added.new),
            drafts=added.count(ExampleStatus.DRAFT),
            held=added.count(ExampleStatus.HELD),
            duplicates=added.duplicates,
            refused=[RefusedLine(line=n, problem=why) for n, why in sorted(read.refused.items())],
            missing=missing,
            job_id=job.id if job else None,
            message=message(added, read, source) + next_lesson(missing, job, bool(running)),
        )

    async def read(self, lines: Mapping[int, bytes], source: str) -> Read:
        """What each line is; what it may teach now is settled.

        Args:
            lines: by whatever number tells them apart; the result has the same.
        """
        read = await asyncio.to_thread(self._parse, lines, source)
        unfit = await self._unfit(read.examples)
        fit = {number: one for number, one in read.examples.items() if number not in unfit}
        return Read(fit, read.refused | unfit)

    async def follow_up(self, added: Added) -> None:
        """Show in the inbox which of the new examples ask what another asks."""
        if added.new:
            await compare(self._database)

    def _parse(self, lines: Mapping[int, bytes], source: str) -> Read:
        examples: dict[int, Example] = {}
        refused: dict[int, str] = {}
        for number, line in lines.items():
            try:
                one = parse(line, self._config, source)
            except UsageError as error:
                refused[number] = error.message
                continue
            secrets = secrets_in(one.messages, one.target, one.note)
            examples[number] = replace(one, status=guarded(one.status, secrets))
        return Read(examples, refused)

    async def _unfit(self, examples: Mapping[int, Example]) -> dict[int, str]:
        """Why some cannot be taught to the model that serves; nothing while none can be loaded."""
        try:
            async with self._serving.borrow() as lease:
                texts = await asyncio.to_thread(_rendered, examples, lease.template)
                return {
                    number: problem
                    for number, text in texts.items()
                    if (problem := await _problem_of(text, lease))
                }
        except (BaseModelError, EngineError):
            return {}


def numbered(lines: Iterable[bytes]) -> dict[int, bytes]:
    """The lines that say something, by their numbers from 1.

    Raises:
        UsageError: none does, or too many do.
    """
    found = {number: line for number, line in enumerate(lines, 1) if line.strip()}
    if not found:
        raise UsageError("there is no example in it", hint="give one JSON object a line")
    if len(found) > MAX_LINES:
        raise UsageError(
            f"{len(found)} lines at once are more than {MAX_LINES}", hint="split the file"
        )
    return found


def message(added: Added, read: Read, source: str) -> str:
    """What became of a file's lines, for the user."""
    parts = [f"Added {count(len(added.new), 'example')} from {source}."]
    if drafts := added.count(ExampleStatus.DRAFT):
        parts.append(
            f"{count(drafts, 'draft')} of them: taught once they have an answer (/review)."
        )
    if held := added.count(ExampleStatus.HELD):
        parts.append(f"{held} may hold a secret: taught only after you allow it in /review.")
    if added.duplicates:
        parts.append(f"{count(added.duplicates, 'duplicate')} left out.")
    if read.refused:
        parts.append(f"{count(len(read.refused), 'line')} refused.")
    return " ".join(parts)


def next_lesson(missing: int, job: Job | None, running: bool) -> str:
    """When what was added is taught."""
    if job is not None:
        return f" The lesson starts now (job {job.id})."
    if running:
        return " A lesson is under way; what is new is in the next."
    return f" {count(missing, 'more example')} until the next lesson, or /train now."


def _rendered(
    examples: Mapping[int, Example], template: ChatTemplate
) -> dict[int, str | BaseModelError]:
    """Each example as the model reads it, or why its template does not take it."""
    texts: dict[int, str | BaseModelError] = {}
    for number, one in examples.items():
        try:
            texts[number] = "".join(template.render_with_target(one.messages, one.target or ""))
        except BaseModelError as error:
            texts[number] = error
    return texts


async def _problem_of(text: str | BaseModelError, lease: Lease) -> str:
    """Why an example cannot be taught, or nothing. A text of fewer bytes than the context has
    tokens fits in any case."""
    if isinstance(text, BaseModelError):
        return text.message
    room = lease.engine.context_tokens
    if len(text.encode()) < room:
        return ""
    [tokens] = await lease.engine.tokenize([text], prompt=True)
    if len(tokens) < room:
        return ""
    return f"it takes {len(tokens)} tokens, the context has room for {room - 1}"
