"""Decides from measurements whether a candidate may serve: learned, retained, scoped, sane,
faithful.

Pure: knows no engine, no file and no clock. DESIGN §7 is the rule book.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, median
from typing import Any

from shammah.config import GateConfig
from shammah.gate import checks
from shammah.gate.checks import Check, Leak
from shammah.gate.evidence import Evidence
from shammah.gate.forgotten import Proof
from shammah.gate.verdicts import CaseVerdict, case_verdict, summary
from shammah.records import Verdict


@dataclass(frozen=True)
class GeneralKl:
    """How far the candidate moved on one general question."""

    question: str
    kl: float  # nats, mean over the tokens of the base's answer


@dataclass(frozen=True)
class Attempt:
    """One candidate of a job, in short."""

    quantization: str
    scale: float
    passed: bool
    failed: list[str]  # names of the checks
    kl_mean: float
    summary: str


@dataclass(frozen=True)
class Report:
    """The gate's judgement of one candidate file."""

    passed: bool
    quantization: str
    scale: float  # of the adapter's effect
    checks: list[Check]
    warnings: list[str]
    verdicts: list[CaseVerdict]
    kl_mean: float
    kl_median: float
    max_kl: float  # what the mean was held against
    kl: list[GeneralKl]
    leaks: list[Leak]
    summary: str
    forgotten: list[Proof] = field(default_factory=list)
    # Of what was trained, by kind of layer; empty if not measured
    kept: dict[str, float] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)  # of its job, this one included

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Report:
        """What `as_dict` gave, after JSON."""
        return cls(
            **data
            | {
                "checks": [Check(**item) for item in data["checks"]],
                "verdicts": [
                    CaseVerdict(**item | {"verdict": Verdict(item["verdict"])})
                    for item in data["verdicts"]
                ],
                "kl": [GeneralKl(**item) for item in data["kl"]],
                "leaks": [Leak(**item) for item in data["leaks"]],
                "forgotten": [Proof(**item) for item in data["forgotten"]],
                "attempts": [Attempt(**item) for item in data["attempts"]],
            }
        )

    @property
    def failed(self) -> list[str]:
        """Names of the checks that did not pass."""
        return [check.name for check in self.checks if not check.passed]


def judge(
    evidence: Evidence, config: GateConfig, quantization: str, scale: float = 1.0
) -> Report:  # fmt: skip
    """The verdict on a candidate."""
    verdicts = [
        case_verdict(case, before, measure)
        for case, before, measure in zip(
            evidence.cases, evidence.before, evidence.after, strict=True
        )
    ]
    leaks = checks.leaks(evidence)
    found = [
        checks.learned([v for v in verdicts if v.new], config),
        checks.retained(verdicts, evidence, config),
        checks.scoped(leaks, evidence, config),
        checks.sane(evidence),
        checks.faithful(evidence, scale, config),
    ]
    warnings = [warning for check in found for warning in check.warnings]
    if scale != 1:
        warnings.append(f"the adapter acts at {scale:g} of its strength")
    return Report(
        passed=all(check.passed for check in found),
        quantization=quantization,
        scale=scale,
        checks=found,
        warnings=warnings,
        verdicts=verdicts,
        kl_mean=fmean(evidence.kl) if evidence.kl else 0.0,
        kl_median=median(evidence.kl) if evidence.kl else 0.0,
        max_kl=config.max_kl,
        kl=[
            GeneralKl(probe.question, value)
            for probe, value in zip(evidence.probes, evidence.kl, strict=True)
        ],
        leaks=leaks,
        summary=summary(verdicts),
        kept=dict(evidence.origin.kept),
    )


def conclude(reports: Sequence[Report]) -> Report:
    """The report of a whole job: of the candidate that passed, or else of the one that came
    nearest, the earliest of these; with all attempts."""
    best = min(reports, key=lambda report: len(report.failed))
    attempts = [
        Attempt(r.quantization, r.scale, r.passed, r.failed, r.kl_mean, r.summary) for r in reports
    ]
    return replace(best, attempts=attempts)
