"""Holds a candidate in an engine of its own and puts it before the gate. Decides nothing itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from shammah.bases.replay import ANSWER_TOKENS
from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.files import write_atomically
from shammah.gate.forgotten import ForgottenCase, Proof, measure_forgotten
from shammah.gate.judge import Evidence, Report, judge
from shammah.gate.measure import (
    Answered,
    Case,
    Probe,
    answer,
    measure_cases,
    measure_kl,
    measure_targets,
)
from shammah.gate.moving import against_former
from shammah.records import Base, Verdict
from shammah_daemon.bases import load_reference
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.lesson import load_cases
from shammah_daemon.moving import Former
from shammah_daemon.serving import Serving
from shammah_daemon.unlearned import Unlearned

Progress = Callable[[dict[str, Any]], Awaitable[None]]

#: Questions that the candidate answers at the same time: a decode step costs little more for
#: sixteen answers than for one.
SLOTS = 16

#: General questions that are answered in full, to see that the candidate is sane and does not leak.
GENERAL_ANSWERS = 8

#: The base ends its answers to them within `ANSWER_TOKENS`; a half more is leave enough.
GENERAL_TOKENS = ANSWER_TOKENS * 3 // 2


@dataclass(frozen=True)
class Forgotten:
    """What a lesson must have unlearned."""

    cases: Sequence[ForgottenCase]
    nll_base: Sequence[float]

    def proofs(self, before: Sequence[float], after: Sequence[float]) -> list[Proof]:
        """Of each case, given its NLL under the active version and under the candidate."""
        return [
            Proof(case.example_id, *nlls)
            for case, *nlls in zip(self.cases, self.nll_base, before, after, strict=True)
        ]


class Judging:
    """Runs the gate on candidates."""

    def __init__(
        self,
        config: Config,
        database: Database,
        serving: Serving,
        courtesy: Courtesy,
        unlearned: Unlearned,
    ) -> None:
        self._config = config
        self._database = database
        self._serving = serving
        self._courtesy = courtesy
        self._unlearned = unlearned
        self._kept: Engine | None = None

    @asynccontextmanager
    async def candidate(self, gguf: Path) -> AsyncIterator[Engine]:
        """An engine on the very file that would be served; ends with the block unless `keep` is
        called, so that a promoted candidate serves without being loaded again."""
        engine = await Engine.start(gguf, self._config.engine, SLOTS)
        try:
            with self._courtesy.background(engine.pid):
                yield engine
        finally:
            if self._kept is not engine:
                await engine.close()
            self._kept = None

    async def forgotten(self, base: Base) -> Forgotten:
        """What the lesson must have unlearned, measured under the base before a candidate runs:
        memory may not hold three engines."""
        cases = self._unlearned.on(base.name)
        if not cases:
            return Forgotten([], [])
        async with self.candidate(Path(base.gguf)) as engine:
            return Forgotten(cases, await measure_forgotten(engine, cases))

    def keep(self, engine: Engine) -> None:
        """The candidate was promoted: it goes on as the serving engine."""
        self._kept = engine

    async def judge(
        self,
        engine: Engine,
        folder: Path,
        reference: Path,
        quantization: str,
        forgotten: Forgotten,
        progress: Progress,
    ) -> Report:
        """The gate's report on the candidate in `engine`; also written to `report.json`."""
        cases, probes = load_cases(folder), load_reference(reference)
        former = Former.load(folder)
        await progress({"stage": "judging", "fraction": 0.0, "detail": "before"})
        if former is None:
            held_before = await self._held_before(cases)
            async with self._serving.borrow() as serving:
                before = [fmean(nll) for nll in await measure_targets(serving, cases)]
        else:
            held_before, before = [False] * len(cases), former.nll
        async with self._serving.borrow() as serving:
            known_before = await measure_forgotten(serving, forgotten.cases)
        await progress({"stage": "judging", "fraction": 0.2, "detail": "lessons"})
        after = await measure_cases(engine, cases)
        await progress({"stage": "judging", "fraction": 0.6, "detail": "general questions"})
        general = await _general(engine, probes[:GENERAL_ANSWERS])
        kl = await measure_kl(engine, probes)
        evidence = Evidence(
            cases=cases,
            nll_before=before,
            held_before=held_before,
            after=after,
            kl=kl,
            general=general,
            general_by_base=[probe.answer_text for probe in probes[:GENERAL_ANSWERS]],
        )
        known_after = await measure_forgotten(engine, forgotten.cases)
        report = replace(
            judge(evidence, self._config.gate, quantization),
            forgotten=forgotten.proofs(known_before, known_after),
        )
        if former is not None:
            report = against_former(report, former.held)
        write_report(folder / "report.json", report)
        await progress({"stage": "judging", "fraction": 1.0, "detail": report.summary})
        return report

    async def _held_before(self, cases: Sequence[Case]) -> list[bool]:
        newest = await self._database.run(
            lambda store: [store.verdicts.newest(case.example_id) for case in cases]
        )
        return [found is not None and found.verdict is Verdict.LEARNED for found in newest]


async def _general(engine: Engine, probes: Sequence[Probe]) -> list[Answered]:
    """Answers to general questions, all at once."""
    return list(
        await asyncio.gather(*(answer(engine, probe.prompt, GENERAL_TOKENS) for probe in probes))
    )


def write_report(path: Path, report: Report) -> None:
    write_atomically(path, json.dumps(report.as_dict(), indent=2).encode())
