"""Who waits for whom, on the tiny model in this process: tokens per llama_decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shammah.engine.batcher import POLITE_TOKENS, WAVE_ROWS, Batcher
from shammah.engine.llama import BATCH_TOKENS, Context, Entry, Model
from shammah.engine.requests import Generate, Sampling, Score, ScoreRow

LONG_PROMPT = [100 + i for i in range(2 * POLITE_TOKENS)]


class Watch:
    """A batcher, and how many tokens each of its steps computed."""

    def __init__(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.messages: list[dict[str, Any]] = []
        decode = context.decode

        def record(entries: Sequence[Entry]) -> None:
            self.sizes.append(len(entries))
            decode(entries)

        monkeypatch.setattr(context, "decode", record)
        self.batcher = Batcher(context, 2, 1024, self.messages.append)

    def beside_an_answer(self, *, watched: bool, ask: Callable[[], None]) -> list[int]:
        """Tokens per step from where `ask` came while an answer was being generated."""
        self.batcher.generate(Generate(1, [1, 2, 3], Sampling(max_tokens=300), watched))
        for _ in range(3):
            self.batcher.step()
        self.sizes.clear()
        ask()
        while not any(message["event"] == "done" for message in self.messages):
            self.batcher.step()
        return self.sizes

    def prompt(self) -> None:
        self.batcher.generate(Generate(2, LONG_PROMPT, Sampling(max_tokens=1), watched=True))

    def score(self) -> None:
        rows = [ScoreRow(LONG_PROMPT[i : i + 60], [7]) for i in range(6)]
        self.batcher.score(Score(2, rows))


@pytest.fixture
def watch(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    model = Model(tiny_base, gpu_layers=0)
    context = Context(model, cells=1024, sequences=2 + WAVE_ROWS, threads=1)
    yield Watch(context, monkeypatch)
    context.close()
    model.close()


@pytest.mark.parametrize("ask", [Watch.prompt, Watch.score])
def test_other_work_goes_in_small_steps_beside_an_answer_that_is_read(
    watch: Watch, ask: Callable[[Watch], None]
) -> None:
    sizes = watch.beside_an_answer(watched=True, ask=lambda: ask(watch))
    assert sum(sizes) > 2 * POLITE_TOKENS
    assert max(sizes) <= POLITE_TOKENS


@pytest.mark.parametrize("ask", [Watch.prompt, Watch.score])
def test_it_takes_full_steps_beside_one_that_nobody_reads(
    watch: Watch, ask: Callable[[Watch], None]
) -> None:
    sizes = watch.beside_an_answer(watched=False, ask=lambda: ask(watch))
    assert 2 * POLITE_TOKENS <= max(sizes) <= BATCH_TOKENS
