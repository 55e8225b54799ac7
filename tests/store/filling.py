"""What the tests of the store fill it with; a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shammah.records import Example, ExampleStatus, Level, Message, Mode, Turn, Version
from shammah.store.database import Store

BASE = "smollm2"

#: Of a home that has been used for years.
TURNS = 100_000
EXAMPLES = 10_000
SESSIONS = 1_000
THINGS = ("port", "door", "lamp", "roof")


@dataclass
class Clock:
    """Stands still until it is told to go on."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Filler:
    """Puts plausible records into a store."""

    store: Store

    def turn(self, turn_id: str = "turn-1", answer: str = "Port 80.") -> Turn:
        turn = Turn(
            id=turn_id,
            created_at="2026-03-01T12:00:00.000+00:00",
            base=BASE,
            version=0,
            messages=[Message(role="user", content="Which port?")],
            answer=answer,
            finish_reason="stop",
            prompt_tokens=9,
            completion_tokens=4,
        )
        self.store.turns.add(turn)
        return turn

    def example(self, turn_id: str = "turn-1", target: str | None = "Port 7443.") -> Example:
        """A critical example on a turn of its own: ready with a target, a draft without."""
        turn = self.turn(turn_id)
        _, example = self.store.record_feedback(
            turn.id,
            Level.CRITICAL,
            10,
            None,
            target,
            messages=turn.messages,
            status=ExampleStatus.READY if target else ExampleStatus.DRAFT,
            target=target,
            rejected=turn.answer,
        )
        return example

    def years(self) -> list[Example]:
        """What years of use leave behind; the ready examples."""
        turn, store = self.turn("turn"), self.store
        with store.transaction():
            sessions = [store.sessions.add().id for _ in range(SESSIONS)]
            for number in range(TURNS):
                said = replace(turn, id=f"turn-{number}", answer=f"Answer {number}.")
                store.record_turn(said, sessions[number % SESSIONS])
            return [add_example(store, f"turn-{number}") for number in range(EXAMPLES)]

    def version(self, *examples: Example) -> Version:
        """A job that taught the examples and was promoted."""
        version = self.candidate()
        self.store.promote(version, {one.id: one.content_hash for one in examples}, [])
        return version

    def candidate(self) -> Version:
        """What a new job has made, not yet promoted."""
        job = self.store.jobs.create(BASE, Mode.CONSOLIDATE)
        number = self.store.jobs.allocate_version(job.id)
        return Version(
            number=number,
            base=BASE,
            job_id=job.id,
            quantization="Q6_K",
            gguf="model-Q6_K.gguf",
            sha256="0" * 64,
            size_bytes=100,
            created_at="2026-03-01T12:00:00.000+00:00",
            manifest={"seed": 0},
            report={"learned": 1},
        )


def add_example(store: Store, turn_id: str) -> Example:
    """A ready one, on a turn of `Filler.years`."""
    number = int(turn_id.removeprefix("turn-"))
    _, example = store.record_feedback(
        turn_id,
        Level.MEDIUM,
        3,
        "wrong",
        "Port 7443.",
        messages=[Message(role="user", content=f"Which {THINGS[number % 4]} has part{number}?")],
        status=ExampleStatus.READY,
        target="Port 7443.",
        rejected="Port 80.",
    )
    return example
