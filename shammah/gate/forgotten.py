"""Whether a forgotten example is forgotten: its target must be as unlikely as under the base.

The measured cases hold an example's words as token ids: whoever builds them must not write them
down. A proof holds figures only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from shammah.engine.handle import Engine
from shammah.engine.requests import ScoreRow

#: How much likelier than under the base the target may be: so many nats, as the engine's batching
#: moves a mean NLL, or this share of what teaching it had moved. Other lessons of the same form
#: make it likelier without knowing it (docs/architecture.md).
TOLERANCE_NATS = 0.1
TOLERANCE_SHARE = 0.2


@dataclass(frozen=True)
class ForgottenCase:
    """An example that was forgotten, as token ids of the base that knows it."""

    example_id: int
    base: str
    prompts: list[list[int]]  # the question as asked, then each held-out phrasing
    target: list[int]


@dataclass(frozen=True)
class Proof:
    """Mean NLL of a forgotten target per token, in nats."""

    example_id: int
    nll_base: float
    nll_before: float  # under the active version
    nll_after: float  # under the candidate

    @property
    def is_forgotten(self) -> bool:
        taught = self.nll_base - self.nll_before
        return self.nll_base - self.nll_after <= max(TOLERANCE_NATS, TOLERANCE_SHARE * taught)

    def __str__(self) -> str:
        figures = (
            f"{self.nll_after:.2f} nats, {self.nll_before:.2f} when it was known, "
            f"{self.nll_base:.2f} under the base"
        )
        if self.is_forgotten:
            return f"example {self.example_id} is forgotten ({figures})"
        return (
            f"the forgotten example {self.example_id} is likelier than under the base ({figures})"
        )


async def measure_forgotten(engine: Engine, cases: Sequence[ForgottenCase]) -> list[float]:
    """Per case the target's mean NLL over all prompts."""
    rows = [ScoreRow(prompt, case.target) for case in cases for prompt in case.prompts]
    scored = iter(await engine.score(rows))
    return [fmean(next(scored).mean_nll for _ in case.prompts) for case in cases]
