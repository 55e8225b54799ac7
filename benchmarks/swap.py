"""`swap`: what two chatting clients notice while another version takes over."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks import loop
from benchmarks.daemon import Say, Session, fresh_daemon
from benchmarks.figures import Section, milliseconds
from benchmarks.lessons import Lesson
from benchmarks.serve import QUESTIONS
from benchmarks.streams import gaps, longest_within
from shammah.client import Client
from shammah.errors import ShammahError
from shammah.paths import Paths
from shammah.records import Message

CLIENTS = 2
ROUNDS = 10
STREAM_TOKENS = 200
#: Of usual streaming between the end of one swap and the next.
PAUSE_SECONDS = 2.0
_POLL_SECONDS = 0.05
TARGET_ADDED_SECONDS = 0.050  # DESIGN §11

Span = tuple[float, float]  # start and end


@dataclass(frozen=True)
class Swap:
    """One change of the active version under load."""

    call_seconds: float  # the rollback request
    longest_gap_seconds: float  # between two pieces of a running answer
    first_token_before_seconds: float  # of a new request just before the swap
    first_token_after_seconds: float  # of the first request after it


@dataclass(frozen=True)
class Result:
    swaps: list[Swap]
    usual_gap_seconds: float  # median away from swaps
    usual_p99_gap_seconds: float
    streams: int
    cut: int
    answered_by_old: int  # first requests after a swap that the version before still answered


@dataclass(frozen=True)
class Probe:
    """A short request among the streams."""

    first_token_seconds: float
    version: int


@dataclass(frozen=True)
class Measured:
    """One swap as it was driven, on the clock of the streams."""

    start: float  # the rollback was sent
    answered: float  # it was answered: the other version serves
    settled: float  # the last stream of the version before has ended
    before: Probe
    after: Probe


@dataclass
class Listener:
    """One client that chats without a pause, and when its pieces arrived."""

    paths: Paths
    offset: int
    stop: threading.Event
    gaps: list[Span]
    began: float = 0.0  # the stream that runs
    streams: int = 0
    cut: int = 0

    def listen(self) -> None:
        with Client(self.paths.socket) as client:
            for question in itertools.islice(itertools.cycle(QUESTIONS), self.offset, None):
                if self.stop.is_set():
                    return
                self._stream(client, question)

    def _stream(self, client: Client, question: str) -> None:
        arrivals, finished = [], False
        self.began = time.perf_counter()
        try:
            for chunk in client.chat_stream(
                [Message(role="user", content=question)], temperature=0.0, max_tokens=STREAM_TOKENS
            ):
                if chunk.text:
                    arrivals.append(time.perf_counter())
                finished = finished or chunk.finish_reason in ("stop", "length")
        except ShammahError:
            finished = False
        self.streams += 1
        self.cut += not finished
        self.gaps += gaps(arrivals)


def run(lessons: Sequence[Lesson], rounds: int, say: Say) -> Result:
    """Teach version 1, then move between it and the base under load.

    Raises:
        ShammahError: there is no version to move to.
    """
    say("swap: teaching a version to swap with")
    with fresh_daemon(loop.overrides()) as session:
        loop.teach(session, lessons)
        say(f"swap: {rounds} swaps while {CLIENTS} clients chat")
        return _under_load(session, rounds)


def section(result: Result) -> Section:
    gap = [swap.longest_gap_seconds for swap in result.swaps]
    before = median(swap.first_token_before_seconds for swap in result.swaps)
    after = [swap.first_token_after_seconds for swap in result.swaps]
    added = median(
        swap.first_token_after_seconds - swap.first_token_before_seconds for swap in result.swaps
    )
    return Section(
        title="Swap under load",
        columns=("what", "value", "target"),
        rows=[
            ("streams cut", f"{result.cut} of {result.streams}", "0"),
            ("first requests answered by the version before",
             f"{result.answered_by_old} of {len(result.swaps)}", "0"),
            ("longest gap in a stream around a swap, median", milliseconds(median(gap)), ""),
            ("the same, worst", milliseconds(max(gap)), ""),
            ("gap away from swaps, median", milliseconds(result.usual_gap_seconds), ""),
            ("the same, 99th percentile", milliseconds(result.usual_p99_gap_seconds), ""),
            ("first token before a swap, median", milliseconds(before), ""),
            ("first token after a swap, median", milliseconds(median(after)), ""),
            ("added to the first request, median", f"{added * 1000:+.0f} ms",
             f"<= +{TARGET_ADDED_SECONDS * 1000:.0f} ms"),
            ("the swap request itself, median",
             milliseconds(median(swap.call_seconds for swap in result.swaps)), ""),
        ],
        notes=[
            f"{len(result.swaps)} swaps between version 0 and 1 while {CLIENTS} clients stream "
            "answers without a pause; until their running answers end, both versions' engines "
            "compute on the same cores. The request before a swap finds the system prompt cached, "
            "the first one after it does not.",
        ],
    )  # fmt: skip


def _under_load(session: Session, rounds: int) -> Result:
    stop = threading.Event()
    listeners = [
        Listener(session.paths, offset=3 * number, stop=stop, gaps=[]) for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=listener.listen, daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    try:
        time.sleep(PAUSE_SECONDS)
        measured = [_swap(session.client, listeners, number) for number in range(rounds)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return summarize(listeners, measured)


def summarize(listeners: Sequence[Listener], measured: Sequence[Measured]) -> Result:
    """Gaps of the running streams, sorted by whether a swap was under way."""
    all_gaps = [gap for listener in listeners for gap in listener.gaps]
    usual = [
        end - start
        for start, end in all_gaps
        if not any(start < swap.settled and end > swap.start for swap in measured)
    ]
    swaps = [
        Swap(
            call_seconds=swap.answered - swap.start,
            longest_gap_seconds=longest_within(all_gaps, swap.start, swap.settled),
            first_token_before_seconds=swap.before.first_token_seconds,
            first_token_after_seconds=swap.after.first_token_seconds,
        )
        for swap in measured
    ]
    return Result(
        swaps=swaps,
        usual_gap_seconds=median(usual),
        usual_p99_gap_seconds=quantiles(usual, n=100)[98],
        streams=sum(listener.streams for listener in listeners),
        cut=sum(listener.cut for listener in listeners),
        answered_by_old=sum(swap.before.version == swap.after.version for swap in measured),
    )


def _swap(client: Client, listeners: Sequence[Listener], number: int) -> Measured:
    """Swap to the other of versions 0 and 1, with a request before and one after.

    Returns when both engines have been one again for `PAUSE_SECONDS`.
    """
    before = _probe(client, f"What is {number} plus 1?")
    start = time.perf_counter()
    client.rollback(1 - before.version)
    answered = time.perf_counter()
    after = _probe(client, f"What is {number} plus 2?")
    while any(listener.began < answered for listener in listeners):
        time.sleep(_POLL_SECONDS)
    settled = time.perf_counter()
    time.sleep(PAUSE_SECONDS)
    return Measured(start, answered, settled, before, after)


def _probe(client: Client, question: str) -> Probe:
    asked = time.perf_counter()
    first: float | None = None
    version: int | None = None
    for chunk in client.chat_stream(
        [Message(role="user", content=question)], temperature=0.0, max_tokens=8
    ):
        if chunk.text and first is None:
            first = time.perf_counter() - asked
        if chunk.info is not None:
            version = chunk.info.version
    if first is None or version is None:
        raise ShammahError(f"the answer to {question!r} was empty")
    return Probe(first, version)
