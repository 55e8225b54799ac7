"""/api/sessions: conversations that are kept, and the search in them."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Response

from shammah.protocol import (
    DeletedSession,
    ForkRequest,
    Id,
    RenameRequest,
    SaidView,
    SessionDetail,
    SessionList,
    SessionView,
)
from shammah.records import Said, Session
from shammah.store.database import Store
from shammah_daemon import sessions
from shammah_daemon.document import errors
from shammah_daemon.services import Wired

router = APIRouter(tags=["sessions"])

#: How much of what was said is shown around the word that was searched for.
_BEFORE, _AFTER = 30, 90


@router.post("/api/sessions", responses=errors(507))
async def begin(services: Wired) -> SessionView:
    """A new session; answers are recorded in it with `session` in a chat request."""
    return _view(await services.database.run(lambda store: store.sessions.add()))


@router.get("/api/sessions")
async def list_(
    services: Wired, search: str = "", limit: Annotated[int, Query(ge=-1, lt=2**63)] = -1
) -> SessionList:
    """Newest first; with words to search for, the best matches first."""
    if search.strip():
        found = await services.database.run(lambda store: store.sessions.search(search))
        views = [_view(session, _excerpt(said, search)) for session, said in found]
        return SessionList(data=views if limit < 0 else views[:limit])
    listed = await services.database.run(lambda store: store.sessions.list(limit))
    return SessionList(data=[_view(session) for session in listed])


@router.get("/api/sessions/{session_id}", responses=errors(404))
async def show(session_id: Id, services: Wired) -> SessionDetail:
    """One session with all that was said."""
    return await services.database.run(lambda store: _detail(store, session_id))


@router.patch("/api/sessions/{session_id}", responses=errors(404, 507))
async def rename(session_id: Id, request: RenameRequest, services: Wired) -> SessionView:
    """Give it a name, or take the name away."""
    name = (request.name or "").strip() or None
    return _view(await services.database.run(lambda store: store.sessions.rename(session_id, name)))


@router.post("/api/sessions/{session_id}/fork", responses=errors(404, 507))
async def fork(
    session_id: Id, services: Wired, request: ForkRequest | None = None
) -> SessionDetail:
    """A new session that begins as this one does."""
    exchanges = request.exchanges if request else None
    return await services.database.run(
        lambda store: _detail(store, store.sessions.fork(session_id, exchanges).id)
    )


@router.delete("/api/sessions/{session_id}", responses=errors(404, 507))
async def delete(session_id: Id, services: Wired) -> DeletedSession:
    """Erase it for good."""
    return await sessions.delete(services.paths, services.database, session_id)


@router.delete(
    "/api/sessions/{session_id}/turns/{turn_id}", status_code=204, responses=errors(404, 507)
)
async def take_back(session_id: Id, turn_id: str, services: Wired) -> Response:
    """Take an answer and its question out of the conversation."""
    await services.database.run(lambda store: store.sessions.take_back(session_id, turn_id))
    return Response(status_code=204)


def _view(session: Session, found: str = "") -> SessionView:
    return SessionView.model_validate(session).model_copy(update={"found": found})


def _detail(store: Store, session_id: Id) -> SessionDetail:
    session = _view(store.sessions.get(session_id))
    said = [SaidView.model_validate(one) for one in store.sessions.said(session_id)]
    return SessionDetail(**session.model_dump(), said=said)


def _excerpt(said: Said, search: str) -> str:
    """What was said around the first of the words; its beginning where only a form of it is."""
    text = " ".join(f"{said.question} {said.answer}".split())
    words = "|".join(re.escape(word) for word in re.findall(r"\w+", search))
    match = re.search(rf"\b(?:{words})", text, re.IGNORECASE)
    start = max((match.start() if match else 0) - _BEFORE, 0)
    return text[start : start + _BEFORE + _AFTER]
