"""What a version of a newer base must hold to take the place of the one before. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from shammah.gate.checks import Check
from shammah.gate.judge import Report


def against_former(report: Report, held: Collection[int]) -> Report:
    """The report with one more check: as many examples hold as the former version held.

    Args:
        held: ids of the examples that the former version answered rightly.
    """
    learned = sum(verdict.learned for verdict in report.verdicts)
    check = Check(
        "moved",
        learned >= len(held),
        f"{learned} of {len(report.verdicts)} examples hold, {len(held)} did before",
    )
    return replace(report, passed=report.passed and check.passed, checks=[*report.checks, check])
