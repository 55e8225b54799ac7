"""The page holds what the report says, needs no network, and lets no text become markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from shammah.config import GateConfig
from shammah.gate.judge import conclude, judge
from shammah.protocol import JobView, StepView
from shammah.records import JobState, Mode
from shammah.reports.page import FORGOTTEN, Findings, render
from tests.gate.test_judge import NEW, WRONG, measured, with_after

HOSTILE = "<script>alert(1)</script> cost $5 & $6?"


def findings(**changes: Any) -> Findings:
    """Ten lessons of which the second is still wrong."""
    report = conclude(
        [judge(with_after(NEW, measured(2, WRONG, WRONG, WRONG)), GateConfig(), "Q8_0")]
    )
    job = JobView(
        id=7, base="smollm2", mode=Mode.CONSOLIDATE, state=JobState.PROMOTED, attempt=1, version=3,
        error=None, hint=None, created_at="2026-03-01T12:00:00.000+00:00", started_at=None,
        finished_at=None, progress={}, report=report.as_dict(), summary="learned 9 of 10",
    )  # fmt: skip
    found = Findings(
        job=job,
        report=report.as_dict(),
        steps=[StepView(step=n, loss=2 / n, nll=2 / n, kl=0.1) for n in range(1, 6)],
        questions={case.example_id: case.question for case in NEW.cases},
    )
    return replace(found, **changes)


def test_the_page_holds_the_verdicts_with_their_questions() -> None:
    text = render(findings())
    assert "Version 3, job 7" in text
    rows = re.findall(r'<td class="(learned|still_wrong)">', text)
    assert rows.count("learned") == 9
    assert rows.count("still_wrong") == 1
    assert all(case.question in text for case in NEW.cases)


def test_the_plots_are_inside_and_nothing_is_fetched() -> None:
    text = render(findings())
    plots = re.findall(r"<figure id=\"(\w+)\">(<svg.*?</svg>)", text, re.DOTALL)
    assert [name for name, _svg in plots] == ["nll", "loss", "kl"]
    for _name, svg in plots:
        ElementTree.fromstring(svg)
    assert not re.search(r"<(script|link|img|iframe)|(?:src|href)=\"(?!#)|@import|url\((?!#)", text)


def test_no_text_becomes_markup_or_a_formula() -> None:
    text = render(findings(questions=dict.fromkeys(range(1, 11), HOSTILE)))
    assert "<script>" not in text
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt; cost $5 &amp; $6?"
    assert text.count(escaped) == 2 * 10  # in the table and in the plot


def test_what_has_no_data_has_no_plot() -> None:
    assert '<figure id="loss">' not in render(findings(steps=[]))


def test_an_erased_question_leaves_its_verdict() -> None:
    questions = {case.example_id: case.question for case in NEW.cases} | {2: FORGOTTEN}
    assert FORGOTTEN in render(findings(questions=questions))


@pytest.mark.parametrize("tried", [1, 2])
def test_the_candidates_are_listed_where_there_were_several(tried: int) -> None:
    report = conclude([judge(NEW, GateConfig(), "Q8_0")] * tried).as_dict()
    assert ('<table id="attempts">' in render(findings(report=report))) is (tried > 1)
