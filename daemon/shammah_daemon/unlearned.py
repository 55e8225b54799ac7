"""Forgotten examples that the next lesson has to unlearn: their cases, in memory only.

Their words are on no disk any more when that lesson is judged. So a daemon that was restarted in
between cannot prove that they are forgotten, and does not say it.
"""

from __future__ import annotations

from collections.abc import Sequence

from shammah.gate.forgotten import ForgottenCase, Proof


class Unlearned:
    """Holds each case until a version was promoted without its example."""

    def __init__(self) -> None:
        self._cases: dict[int, ForgottenCase] = {}

    def on(self, base: str) -> list[ForgottenCase]:
        """The cases whose tokens are those of `base`."""
        return [case for case in self._cases.values() if case.base == base]

    def add(self, case: ForgottenCase) -> None:
        self._cases[case.example_id] = case

    def drop(self, proofs: Sequence[Proof]) -> None:
        """A version that was taught without these examples is active."""
        for proof in proofs:
            self._cases.pop(proof.example_id, None)

    def clear(self) -> None:
        """The base is active: it was taught nothing."""
        self._cases.clear()
