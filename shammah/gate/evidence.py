"""What was measured of a candidate, as the judge is given it. Measures and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shammah.gate.measure import Answered, Case, CaseMeasure, Probe

#: Tokens of an answer to a general question: a leak shows early, and so does a loop.
GENERAL_TOKENS = 48

#: Tokens that an answer gets which did not end there, though the base's is short.
PATIENCE_TOKENS = 144


@dataclass(frozen=True)
class Before:
    """One example under the active version."""

    nll: float  # of its target, median over the held-out phrasings, in nats
    learned: bool = False  # the verdict of the newest gate that judged it
    holds: Sequence[bool] = ()  # that gate's findings: the answer to each of `Case.prompts`


@dataclass(frozen=True)
class General:
    """A general question that the candidate answered, up to `GENERAL_TOKENS`, or up to
    `PATIENCE_TOKENS` where it must end."""

    probe: Probe
    answer: Answered

    @property
    def must_end(self) -> bool:
        return must_end(self.probe)


def must_end(probe: Probe) -> bool:
    """The base's own answer ends in less than half of the tokens."""
    return 2 * len(probe.answer) < GENERAL_TOKENS


@dataclass(frozen=True)
class Origin:
    """What training left to hold the file against; nothing of a job that an earlier version of the
    program has trained."""

    #: Of what was trained, the share that the file holds, by kind of layer.
    kept: Mapping[str, float] = field(default_factory=dict)
    #: Of held-out wordings, as training itself measured it at the end, in nats a token.
    held_out_nll: float | None = None


@dataclass(frozen=True)
class Evidence:
    """All that was measured."""

    cases: Sequence[Case]
    before: Sequence[Before]  # per case, of the active version
    after: Sequence[CaseMeasure]  # per case, of the candidate
    probes: Sequence[Probe]  # general questions
    kl: Sequence[float]  # per probe, to the base, in nats
    general: Sequence[General]  # those on which the candidate moved furthest
    origin: Origin = field(default_factory=Origin)
