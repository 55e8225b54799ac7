"""Runs several answers and scorings at once on one context, one llama_decode a step.

Continuous batching as in Orca (Yu et al., OSDI 2022, §3): every step carries one token of each
running answer and a piece of each new prompt. A prompt's beginning that any sequence already holds
or is about to hold is shared, not computed again. Knows no JSON and no process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shammah.engine.llama import BATCH_TOKENS, Context, Entry, Sampler
from shammah.engine.requests import Generate, Score, ScoreRow, error_message
from shammah.engine.text import TextStream
from shammah.errors import EngineError, PromptTooLong, UsageError

Emit = Callable[[dict[str, Any]], None]

#: Rows scored in one batch, each in a sequence of its own beside the slots.
WAVE_ROWS = 32

#: A prompt waits for another whose beginning it can then share, if that saves so many tokens.
WORTH_WAITING_TOKENS = 8

#: Prompt and scoring tokens per step while somebody reads an answer along: bounds the pause between
#: its tokens.
POLITE_TOKENS = 96


@dataclass
class Answer:
    """A running generation."""

    request: Generate
    limit: int  # tokens it may generate
    todo: list[int]  # tokens to decode before the next one can be sampled
    sampler: Sampler
    text: TextStream
    cached: int  # prompt tokens that did not have to be computed
    started: float
    first_token: float | None = None
    generated: int = 0
    nll: list[float] = field(default_factory=list)  # of each token drawn, where it is asked for


@dataclass
class Slot:
    """A sequence of the context: what it holds, and the answer that grows there."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    answer: Answer | None = None
    used: int = 0  # step at which it was last in use

    @property
    def cells(self) -> int:
        """KV cells that it has or may come to need."""
        if self.answer is None:
            return len(self.tokens)
        return len(self.answer.request.prompt) + self.answer.limit


@dataclass
class Scoring:
    """A score request in progress."""

    request: Score
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def waiting(self) -> Sequence[ScoreRow]:
        return self.request.rows[len(self.results) :]


class Batcher:
    """Schedules requests onto a context.

    Args:
        context: with at least `slots + WAVE_ROWS` sequences.
        slots: answers that may run at the same time.
        context_tokens: longest prompt plus answer.
        emit: takes the messages of `shammah.engine.requests`.
    """

    def __init__(self, context: Context, slots: int, context_tokens: int, emit: Emit) -> None:
        self.context = context
        self._slots = [Slot(sequence) for sequence in range(slots)]
        self._wave_sequences = range(slots, slots + WAVE_ROWS)
        self._context_tokens = context_tokens
        self._emit = emit
        self._waiting: deque[Generate] = deque()
        self._scorings: deque[Scoring] = deque()
        self._step = 0

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._scorings or self.active)

    @property
    def active(self) -> int:
        """Answers that are being generated."""
        return sum(slot.answer is not None for slot in self._slots)

    def generate(self, request: Generate) -> None:
        if not request.prompt:
            raise EngineError("the prompt is empty")
        if len(request.prompt) >= self._context_tokens:
            raise PromptTooLong(
                f"the prompt has {len(request.prompt)} tokens, the context has room for "
                f"{self._context_tokens}",
                hint="shorten the message, or raise engine.context_tokens",
            )
        self._waiting.append(request)

    def score(self, request: Score) -> None:
        for row in request.rows:
            length = len(row.prompt) + len(row.target)
            if not row.prompt or not row.target or length > self._context_tokens:
                raise PromptTooLong(
                    f"cannot score {len(row.prompt)} + {len(row.target)} tokens in a context of "
                    f"{self._context_tokens}"
                )
        if request.rows:
            self._scorings.append(Scoring(request))
        else:
            self._emit({"id": request.id, "event": "done", "rows": []})

    def cancel(self, target: int) -> None:
        """End request `target` now; an answer keeps what it has and says so."""
        self._waiting = deque(r for r in self._waiting if r.id != target)
        self._scorings = deque(s for s in self._scorings if s.request.id != target)
        for slot in self._slots:
            if slot.answer and slot.answer.request.id == target:
                self._finish(slot, "cancelled")

    def close(self) -> None:
        """Give the context back; whatever is under way ends with an error."""
        answers = [slot.answer for slot in self._slots if slot.answer]
        for answer in answers:
            answer.sampler.close()
        numbers = [
            *(answer.request.id for answer in answers),
            *(scoring.request.id for scoring in self._scorings),
            *(request.id for request in self._waiting),
        ]
        error = EngineError("the answer was given up: its adapters are gone", hint="ask once more")
        for number in numbers:
            self._emit(error_message(number, error))
        self.context.close()

    def forget_cache(self) -> None:
        """Drop what sequences hold: it was computed with other weights, or is of no more use.

        Running answers compute their text so far again before they go on.
        """
        self.context.clear()
        for slot in self._slots:
            if slot.answer:
                slot.answer.todo = slot.tokens + slot.answer.todo
            slot.tokens = []

    def step(self) -> None:
        """One llama_decode: of a wave of scorings, or of all running answers."""
        self._step += 1
        self._admit()
        if self._scorings and (not self.active or self._step % 2) and self._score_wave():
            return
        if self.active:
            self._advance()

    # answers

    def _admit(self) -> None:
        while self._waiting:
            request = self._waiting[0]
            if self._is_under_way(request.prompt):
                return
            limit = min(request.sampling.max_tokens, self._context_tokens - len(request.prompt))
            free = [slot for slot in self._slots if slot.answer is None]
            if not free:
                return
            slot = max(free, key=lambda s: (_common(s.tokens, request.prompt), -s.used))
            if not self._make_room(len(request.prompt) + limit, keep=slot):
                return
            self._waiting.popleft()
            cached = self._reuse(slot, request.prompt)
            sampling = replace(request.sampling, max_tokens=limit)
            slot.answer = Answer(
                request=request,
                limit=limit,
                todo=request.prompt[cached:],
                sampler=Sampler(self.context.model, sampling),
                text=TextStream(sampling.stop),
                cached=cached,
                started=time.monotonic(),
            )

    def _is_under_way(self, prompt: list[int]) -> bool:
        """Whether another prompt that is being computed begins as `prompt` does, beyond what
        is held: after a step or two that can be shared."""
        held = max(_common(slot.tokens, prompt) for slot in self._slots)
        coming = max(
            (
                _common(slot.tokens + slot.answer.todo, prompt)
                for slot in self._slots
                if slot.answer and slot.answer.todo
            ),
            default=0,
        )
        return coming >= held + WORTH_WAITING_TOKENS

    def _reuse(self, slot: Slot, prompt: list[int]) -> int:
        """Give `slot` the longest beginning of `prompt` that any sequence holds; its length.

        The last prompt token is always computed: its logits are needed.
        """
        donor = max(self._slots, key=lambda s: (_common(s.tokens, prompt), s is slot))
        common = min(_common(donor.tokens, prompt), len(prompt) - 1)
        if donor is not slot:
            self.context.keep(slot.sequence, 0)
            if common:
                self.context.share(donor.sequence, slot.sequence, common)
        else:
            self.context.keep(slot.sequence, common)
        slot.tokens = prompt[:common]
        return common

    def _make_room(self, cells: int, keep: Slot | None = None) -> bool:
        """Empty idle sequences, oldest first, until `cells` more fit. False: wait for answers."""
        held = {s.sequence: s.cells for s in self._slots if s is not keep}
        running = sum(s.cells for s in self._slots if s.answer)
        if running + cells > self.context.cells:
            return False
        idle = sorted((s for s in self._slots if not s.answer and s is not keep), key=_last_use)
        for slot in idle:
            if sum(held.values()) + cells <= self.context.cells:
                break
            self.context.keep(slot.sequence, 0)
            slot.tokens = []
            held[slot.sequence] = 0
        return True

    def _advance(self) -> None:
        running = [slot for slot in self._slots if slot.answer]
        streaming = any(answer.generated for answer in self._watched())
        room = POLITE_TOKENS if streaming else BATCH_TOKENS
        entries: list[Entry] = []
        taken: list[tuple[Slot, int]] = []
        # Running answers first: a long prompt must not hold them up.
        for slot in sorted(running, key=lambda s: len(s.answer.todo) if s.answer else 0):
            answer = slot.answer
            assert answer is not None
            count = min(len(answer.todo), max(room - len(entries), 0))
            for i in range(count):
                is_last = i == len(answer.todo) - 1
                position = len(slot.tokens) + i
                entries.append(Entry(answer.todo[i], position, (slot.sequence,), is_last))
            if count:
                taken.append((slot, len(entries) - 1))
                slot.tokens += answer.todo[:count]
                del answer.todo[:count]
        self.context.decode(entries)
        for slot, last_index in taken:
            if slot.answer and not slot.answer.todo:
                self._sample(slot, slot.answer, last_index)

    def _watched(self) -> list[Answer]:
        """Running answers that somebody reads along."""
        answers = [slot.answer for slot in self._slots if slot.answer]
        return [answer for answer in answers if answer.request.watched]

    def _sample(self, slot: Slot, answer: Answer, index: int) -> None:
        token = answer.sampler.sample(self.context, index)
        slot.used = self._step
        if token is None:
            self._fail(slot, answer)
            return
        if answer.first_token is None:
            answer.first_token = time.monotonic()
        if answer.request.sampling.score:
            logits = self.context.logits(index)
            answer.nll.append(_normaliser(logits) - float(logits[token]))
        if self.context.model.ends_turn(token):
            self._finish(slot, "stop")
            return
        answer.generated += 1
        answer.todo = [token]
        text = answer.text.feed(self.context.model.piece(token))
        if text:
            self._emit({"id": answer.request.id, "event": "text", "text": text})
        if answer.text.stopped:
            self._finish(slot, "stop")
        elif answer.generated >= answer.limit:
            self._finish(slot, "length")

    def _fail(self, slot: Slot, answer: Answer) -> None:
        """The grammar leads nowhere: no token of this model may follow."""
        slot.answer = None
        answer.sampler.close()
        error = UsageError("no text matches the JSON schema", hint="does it contradict itself?")
        self._emit(error_message(answer.request.id, error))

    def _finish(self, slot: Slot, reason: str) -> None:
        answer = slot.answer
        assert answer is not None
        slot.answer = None
        answer.sampler.close()
        rest = answer.text.finish()
        if rest:
            self._emit({"id": answer.request.id, "event": "text", "text": rest})
        now = time.monotonic()
        first = answer.first_token or now
        self._emit(
            {
                "id": answer.request.id,
                "event": "done",
                "finish_reason": reason,
                "prompt_tokens": len(answer.request.prompt),
                "cached_tokens": answer.cached,
                "completion_tokens": answer.generated,
                "first_token_seconds": first - answer.started,
                "tokens_per_second": (answer.generated - 1) / (now - first)
                if answer.generated > 1
                else 0.0,
                "mean_nll": sum(answer.nll) / len(answer.nll) if answer.nll else None,
            }
        )

    # scoring

    def _score_wave(self) -> bool:
        """Score the next rows that fit one step. False: no room beside the running answers."""
        scoring = self._scorings[0]
        budget = POLITE_TOKENS if self._watched() else BATCH_TOKENS
        wave = _wave(scoring.waiting, budget)
        if not self._make_room(sum(len(row.prompt) + len(row.target) for row in wave)):
            return False
        scoring.results += self._score_rows(wave, scoring.request.top)
        if not scoring.waiting:
            self._scorings.popleft()
            message = {"id": scoring.request.id, "event": "done", "rows": scoring.results}
            self._emit(message)
        return True

    def _score_rows(self, rows: Sequence[ScoreRow], top: int) -> list[dict[str, Any]]:
        """Decode `rows`, their common beginning once, and read the logits before each target."""
        shared = _shared_prefix(rows)
        sequences = self._wave_sequences[: len(rows)]
        entries = [Entry(t, i, sequences, False) for i, t in enumerate(rows[0].prompt[:shared])]
        wanted: list[tuple[int, int]] = []  # (row, target position) of the entries with logits
        for number, row in enumerate(rows):
            tokens = row.prompt + row.target[:-1]
            for position in range(shared, len(tokens)):
                place = position - len(row.prompt) + 1
                if place >= 0:
                    wanted.append((number, place))
                entries.append(Entry(tokens[position], position, (sequences[number],), place >= 0))
        results = [_empty_result(row, top) for row in rows]
        todo = iter(wanted)
        try:
            for start in range(0, len(entries), BATCH_TOKENS):
                chunk = entries[start : start + BATCH_TOKENS]
                self.context.decode(chunk)
                for index, entry in enumerate(chunk):
                    if entry.wants_logits:
                        number, place = next(todo)
                        _read(results[number], rows[number], place, self.context.logits(index), top)
        finally:
            for sequence in sequences:
                self.context.keep(sequence, 0)
        return results


def _last_use(slot: Slot) -> int:
    return slot.used


def _common(held: Sequence[int], wanted: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next(
        (i for i, (a, b) in enumerate(zip(held, wanted, strict=False)) if a != b),
        min(len(held), len(wanted)),
    )


def _shared_prefix(rows: Iterable[ScoreRow]) -> int:
    """Tokens that all prompts begin with, less the last of the shortest: its logits are needed."""
    prompts = [row.prompt for row in rows]
    common = min(_common(prompts[0], prompt) for prompt in prompts)
    return min(common, min(map(len, prompts)) - 1)


def _wave(rows: Sequence[ScoreRow], budget: int) -> list[ScoreRow]:
    """The first rows whose tokens, common beginning counted once, fit `budget`; at least one."""
    wave = [rows[0]]
    for row in rows[1:WAVE_ROWS]:
        candidate = [*wave, row]
        shared = _shared_prefix(candidate)
        size = shared + sum(len(r.prompt) + len(r.target) - shared for r in candidate)
        if size > budget:
            break
        wave = candidate
    return wave


def _empty_result(row: ScoreRow, top: int) -> dict[str, Any]:
    result: dict[str, Any] = {"nll": []}
    if top:
        result["top"] = []
    if row.at is not None:
        result["at"] = []
    return result


def _read(
    result: dict[str, Any], row: ScoreRow, place: int, logits: NDArray[np.float32], top: int
) -> None:
    """Append to `result` what is wanted of the logits before target token `place`."""
    normaliser = _normaliser(logits)
    result["nll"].append(normaliser - float(logits[row.target[place]]))
    if top:
        best = np.argpartition(logits, -top)[-top:]
        best = best[np.argsort(-logits[best], kind="stable")]
        result["top"].append([best.tolist(), (logits[best] - normaliser).round(5).tolist()])
    if row.at is not None:
        result["at"].append((logits[row.at[place]] - normaliser).round(5).tolist())


def _normaliser(logits: NDArray[np.float32]) -> float:
    """log Σ exp(logits), in nats."""
    highest = logits.max()
    return float(highest) + float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))
