"""/api/turns: where an answer came from."""

from __future__ import annotations

from fastapi import APIRouter

from shammah.errors import NotFound
from shammah.protocol import AppliedView, WhyView
from shammah.records import Turn
from shammah.store.database import Store
from shammah_daemon.document import errors
from shammah_daemon.routes.learning import views_of
from shammah_daemon.services import Wired

router = APIRouter(tags=["turns"])


@router.get("/api/turns/newest/why", responses=errors(404))
async def newest_why(services: Wired) -> WhyView:
    """Which version gave the newest answer, and which corrections it had before its eyes."""
    return await services.database.run(lambda store: _why(store, _newest(store)))


@router.get("/api/turns/{turn_id}/why", responses=errors(404))
async def why(turn_id: str, services: Wired) -> WhyView:
    """The same for any answer."""
    return await services.database.run(lambda store: _why(store, store.turns.get(turn_id)))


def _newest(store: Store) -> Turn:
    turn = store.turns.newest()
    if turn is None:
        raise NotFound("there is no answer yet", hint="ask something first")
    return turn


def _why(store: Store, turn: Turn) -> WhyView:
    return WhyView(
        id=turn.id,
        created_at=turn.created_at,
        base=turn.base,
        version=turn.version,
        question=turn.question,
        injected=views_of(store, [store.examples.get(number) for number in turn.injected]),
        adapters=[AppliedView.model_validate(one) for one in turn.adapters],
    )
