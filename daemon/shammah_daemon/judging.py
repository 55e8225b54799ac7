"""Holds a candidate in an engine of its own and puts it before the gate. Decides nothing itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.files import write_atomically
from shammah.gate.evidence import Before, Origin
from shammah.gate.examine import SLOTS, examine
from shammah.gate.forgotten import ForgottenCase, Proof, measure_forgotten
from shammah.gate.judge import Report, judge
from shammah.gate.measure import Case, measure_targets
from shammah.gate.moving import against_former
from shammah.records import Base, Judgement, Verdict
from shammah.store.database import Store
from shammah_daemon import artefacts
from shammah_daemon.anticipation import Anticipation
from shammah_daemon.bases import load_reference
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.ladder import Rung
from shammah_daemon.lesson import load_cases
from shammah_daemon.moving import Former
from shammah_daemon.serving import Serving
from shammah_daemon.unlearned import Unlearned

Progress = Callable[[dict[str, Any]], Awaitable[None]]


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
        anticipation: Anticipation,
    ) -> None:
        self._config = config
        self._database = database
        self._serving = serving
        self._courtesy = courtesy
        self._unlearned = unlearned
        self._anticipation = anticipation
        self._kept: Engine | None = None

    @asynccontextmanager
    async def candidate(self, gguf: Path, sha256: str) -> AsyncIterator[Engine]:
        """An engine on the very file that would be served; ends with the block unless `keep` is
        called, so that a promoted candidate serves without being loaded again.

        Raises:
            DamagedFile: the file has changed since its hash was taken.
        """
        await artefacts.check(gguf, sha256)
        engine = await Engine.start(gguf, self._config.engine, SLOTS)
        try:
            with self._courtesy.background(engine.pid, may_serve=True):
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
        async with self.candidate(Path(base.gguf), base.sha256) as engine:
            return Forgotten(cases, await measure_forgotten(engine, cases))

    def keep(self, engine: Engine) -> None:
        """The candidate was promoted: it goes on as the serving engine."""
        self._kept = engine

    async def look_back(self, folder: Path) -> None:
        """Write `before.json`: every case under the active version; done once for all candidates.

        What the gate found when that version was judged is taken from the store, the rest scored.
        On the way to another base, what counts was measured when the job was prepared.
        """
        if (folder / "before.json").exists():
            return
        cases = load_cases(folder)
        if former := Former.load(folder):
            _write(folder / "before.json", [asdict(Before(nll)) for nll in former.nll])
            return
        known, newest = await self._database.run(lambda store: _findings(store, cases))
        unknown = [case for case in cases if case.new or case.example_id not in known]
        known |= await self._score(unknown)
        before = [
            Before(
                nll=known[case.example_id],
                learned=found is not None and found.verdict is Verdict.LEARNED,
                holds=found.details["holds"] if found else (),
            )
            for case, found in zip(cases, newest, strict=True)
        ]
        _write(folder / "before.json", [asdict(item) for item in before])

    async def _score(self, cases: Sequence[Case]) -> dict[int, float]:
        """By example id, under the active version; what was scored ahead is not scored again."""
        async with self._serving.borrow(bare=True) as serving:
            found = {
                case.example_id: nll
                for case in cases
                if (nll := self._anticipation.nll(serving.active, case)) is not None
            }
            rest = [case for case in cases if case.example_id not in found]
            scored = await measure_targets(serving.engine, rest)
        return found | {c.example_id: median(nll) for c, nll in zip(rest, scored, strict=True)}

    async def judge(
        self,
        engine: Engine,
        folder: Path,
        reference: Path,
        rung: Rung,
        origin: Origin,
        forgotten: Forgotten,
        progress: Progress,
    ) -> Report:
        """The gate's report on the candidate in `engine`."""

        async def tell(fraction: float, detail: str) -> None:
            await progress({"stage": "judging", "fraction": fraction, "detail": detail})

        cases, probes = load_cases(folder), load_reference(reference)
        before = [Before(**item) for item in json.loads((folder / "before.json").read_bytes())]
        async with self._serving.borrow(bare=True) as serving:
            known_before = await measure_forgotten(serving.engine, forgotten.cases)
        known_after = await measure_forgotten(engine, forgotten.cases)
        evidence = await examine(engine, cases, before, probes, origin, tell)
        report = replace(
            judge(evidence, self._config.gate, rung.quantization, rung.scale),
            forgotten=forgotten.proofs(known_before, known_after),
        )
        if former := Former.load(folder):
            report = against_former(report, former.held)
        await tell(1.0, report.summary)
        return report


def write_report(path: Path, report: Report) -> None:
    _write(path, report.as_dict())


def read_report(path: Path) -> Report | None:
    """The report at `path`, if there is one."""
    return Report.from_dict(json.loads(path.read_bytes())) if path.exists() else None


def _findings(
    store: Store, cases: Sequence[Case]
) -> tuple[dict[int, float], list[Judgement | None]]:
    """NLLs by example id as they were measured on the active version, and the newest judgements."""
    active = store.pointer.active()
    own: list[Judgement] = []
    if active is not None and active.version:
        own = store.verdicts.of_job(store.versions.get(active.version).job_id)
    known = {item.example_id: item.details["nll_after"] for item in own}
    return known, [store.verdicts.newest(case.example_id) for case in cases]


def _write(path: Path, data: Any) -> None:
    write_atomically(path, json.dumps(data, indent=2).encode())
