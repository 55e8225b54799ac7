"""Watches what the user says of the active version, and takes it back where that is wanted.

Reads the store and moves the pointer through `Models`; what speaks against a version is decided by
`shammah.feedback.aftercare`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from shammah.config import LearningConfig
from shammah.errors import Conflict, ShammahError
from shammah.feedback.aftercare import trouble
from shammah.feedback.context import context_of
from shammah.feedback.twins import Asked, asked, twins_of
from shammah.gate.terms import terms
from shammah.protocol import RollbackProposal
from shammah.records import Active, Example, ExampleStatus, Turn
from shammah.store.database import Store
from shammah_daemon.database import Database
from shammah_daemon.models import Models

log = structlog.get_logger()

#: What a version is compared with: the times of so many versions before it.
VERSIONS_BEFORE = 3


class Aftercare:
    """Proposes a rollback, or does it when `learning.auto_rollback` is on."""

    def __init__(self, config: LearningConfig, database: Database, models: Models) -> None:
        self._config = config
        self._database = database
        self._models = models
        self._looking = asyncio.Lock()  # two feedbacks at once must not go two versions back
        self._proposed: RollbackProposal | None = None

    async def look(self) -> str:
        """After feedback: what the user should hear about the active version, or nothing."""
        async with self._looking:
            found = await self._database.run(proposal)
            if found is None:
                return ""
            if self._config.auto_rollback:
                return await self._take_back(found)
            news = self._proposed is None or self._proposed.version != found.version
            self._proposed = found
            return _proposing(found) if news else ""

    async def _take_back(self, found: RollbackProposal) -> str:
        try:
            await self._models.rollback(None)
        except ShammahError as error:  # the feedback is recorded, and the version goes on serving
            log.error("rollback failed", version=found.version, problem=error.message)
            return f"{_proposing(found)} It could not be done by itself: {error.message}."
        log.warning("a version was taken back", version=found.version, now=found.leads_to)
        return (
            f"Version {found.version} was taken back: {found.reason}. "
            f"Version {found.leads_to} of {found.base} answers now."
        )


def proposal(store: Store) -> RollbackProposal | None:
    """The rollback that the active version's record calls for, if any.

    The record begins when the version became active: one that the user chose again begins anew.
    """
    active = store.pointer.active()
    if active is None or not active.version:
        return None
    try:
        former = store.pointer.previous()
    except Conflict:
        return None
    began, *earlier = store.pointer.moves(1 + VERSIONS_BEFORE)
    reason = trouble(
        corrected_again(store, active, began),
        now=store.feedback.tally(began, None, only=active),
        before=store.feedback.tally(earlier[-1], began),
    )
    if reason is None:
        return None
    return RollbackProposal(
        version=active.version, leads_to=former.version, base=former.base, reason=reason
    )


def corrected_again(store: Store, active: Active, began: str) -> set[int]:
    """Ids of taught examples whose questions the version has answered wrongly since `began`."""
    disliked = [store.turns.get(turn_id) for turn_id in store.feedback.disliked(active, began)]
    if not disliked:
        return set()
    taught = store.versions.taught(active.version)
    known = [store.examples.get(number) for number in taught]
    valid = {
        one.id: one
        for one in known
        if one.status is ExampleStatus.READY and taught[one.id] == one.content_hash
    }
    questions = [asked(one.id, one.messages) for one in valid.values()]
    return {number for turn in disliked for number in _missed(turn, valid, questions)}


def _missed(turn: Turn, taught: dict[int, Example], questions: Sequence[Asked]) -> list[int]:
    """The taught examples that this disliked answer should have held, and did not: a user who
    dislikes what was taught has changed their mind."""
    same = twins_of(asked(0, context_of(turn.messages)), questions)
    return [
        number
        for number in same
        if not terms(taught[number].target or "", taught[number].question).held_by(turn.answer)
    ]


def _proposing(found: RollbackProposal) -> str:
    return (
        f"Version {found.version} does worse than it should: {found.reason}. "
        f"/rollback goes back to version {found.leads_to}."
    )
