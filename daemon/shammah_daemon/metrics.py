"""What Prometheus may read: counts and times, never a text, and no id that a client chose.

Keeps its own registry. What changes with every request is counted as it happens; what lies in the
store is looked at when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from shammah.engine.handle import Finished
from shammah.protocol import EngineState
from shammah.records import ExampleStatus, JobState

FIRST_TOKEN_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
TOKENS_PER_SECOND = (1, 2, 5, 10, 20, 40, 60, 80, 100, 150, 200, 400)


@dataclass(frozen=True)
class Snapshot:
    """The daemon at the moment of a scrape."""

    engine: EngineState
    version: int  # that serves; 0 is the base
    examples: Mapping[ExampleStatus, int]
    jobs: Mapping[JobState, int]
    database_bytes: int


class Metrics:
    """Counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "shammah_requests", "Requests, by the route's pattern.", ["method", "route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._tokens = Counter(
            "shammah_generated_tokens", "Tokens of answers.", registry=self._registry
        )
        self._prompt_tokens = Counter(
            "shammah_prompt_tokens", "Tokens of prompts, those from the cache too.",
            registry=self._registry,
        )  # fmt: skip
        self._first_token = Histogram(
            "shammah_first_token_seconds", "From a prompt to the first token of its answer.",
            buckets=FIRST_TOKEN_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._speed = Histogram(
            "shammah_tokens_per_second", "How fast answers of two tokens and more are written.",
            buckets=TOKENS_PER_SECOND, registry=self._registry,
        )  # fmt: skip
        self._engine = self._gauge("engine_state", "1 for the engine's state.", ["state"])
        self._version = self._gauge("active_version", "The version that serves; 0 is the base.")
        self._examples = self._gauge("examples", "Examples by status.", ["status"])
        self._jobs = self._gauge("jobs", "Jobs by state.", ["state"])
        self._database = self._gauge("database_bytes", "Size of the database with its log.")

    def requested(self, method: str, route: str, status: int) -> None:
        """A request was answered.

        Args:
            route: the pattern of the path, such as /api/jobs/{job_id}.
        """
        self._requests.labels(method, route, str(status)).inc()

    def answered(self, finished: Finished) -> None:
        """An answer has ended by itself."""
        self._tokens.inc(finished.completion_tokens)
        self._prompt_tokens.inc(finished.prompt_tokens)
        if finished.completion_tokens:
            self._first_token.observe(finished.first_token_seconds)
        if finished.completion_tokens > 1:
            self._speed.observe(finished.tokens_per_second)

    def render(self, now: Snapshot) -> bytes:
        """Prometheus' text format."""
        for state in get_args(EngineState):
            self._engine.labels(state).set(state == now.engine)
        for status in ExampleStatus:
            self._examples.labels(status).set(now.examples.get(status, 0))
        for job_state in JobState:
            self._jobs.labels(job_state).set(now.jobs.get(job_state, 0))
        self._version.set(now.version)
        self._database.set(now.database_bytes)
        return generate_latest(self._registry)

    def _gauge(
        self, name: str, documentation: str, labels: tuple[str, ...] | list[str] = ()
    ) -> Gauge:
        return Gauge(f"shammah_{name}", documentation, labels, registry=self._registry)
