"""How plans and estimates are said."""

from __future__ import annotations

from shammah.protocol import EstimateView, JobView, PlanLine, PlanView
from shammah.records import JobState, Mode
from shammah.repl import estimates

ESTIMATE = EstimateView(
    seconds=72, training_seconds=50, memory_bytes=1_900_000_000, disk_bytes=900_000_000,
    tokens=9000, basis="the pace of job 3",
)  # fmt: skip
PLAN = PlanView(
    base="tiny", device="cpu", precision="bfloat16", four_bit=False, max_tokens=1024, passes=1,
    recompute=False, predicted_bytes=1_900_000_000,
    lines=[
        PlanLine(name="device", choice="cpu", reason="there is no GPU that torch can use"),
        PlanLine(name="micro-batch", choice="1024 tokens", reason="larger ones are no faster"),
    ],
    shortage=None, estimate=ESTIMATE,
)  # fmt: skip


def test_an_estimate_says_time_memory_and_disk_and_what_it_rests_on() -> None:
    said = estimates.in_words(ESTIMATE)
    assert said == "1 min 12 s, 1.9 GB memory, 900 MB disk (the pace of job 3)"


def test_energy_and_cost_are_said_only_where_they_are_known() -> None:
    drawn = ESTIMATE.model_copy(update={"kwh": 0.0021})
    assert "900 MB disk, 0.0021 kWh (" in estimates.in_words(drawn)
    priced = drawn.model_copy(update={"cost": 0.00063})
    assert "0.0021 kWh for 0.00063 (" in estimates.in_words(priced)


def test_what_was_not_measured_is_not_said() -> None:
    assert "memory" not in estimates.in_words(ESTIMATE.model_copy(update={"memory_bytes": 0}))


def test_a_queued_job_is_told_with_its_estimate() -> None:
    job = JobView(
        id=4, base="tiny", mode=Mode.QUICK, state=JobState.QUEUED, attempt=1, version=None,
        error=None, hint=None, created_at="", started_at=None, finished_at=None, progress={},
        report=None, estimate=ESTIMATE,
    )  # fmt: skip
    assert estimates.queued(job).startswith("job 4 is queued: about 1 min 12 s, ")
    assert estimates.queued(job.model_copy(update={"estimate": None})) == "job 4 is queued"


def test_a_plan_is_a_line_a_choice_then_what_is_short_and_the_estimate() -> None:
    short = PLAN.model_copy(update={"shortage": "disk: 3.0 GB needed, 1.0 GB free"})
    assert estimates.plan(short).splitlines() == [
        "device:      cpu: there is no GPU that torch can use",
        "micro-batch: 1024 tokens: larger ones are no faster",
        "no room now: disk: 3.0 GB needed, 1.0 GB free",
        "estimate: about 1 min 12 s, 1.9 GB memory, 900 MB disk (the pace of job 3)",
    ]
    untaught = PLAN.model_copy(update={"estimate": None})
    assert estimates.plan(untaught).splitlines()[-1] == (
        "estimate: none, there is nothing to teach yet"
    )
