"""/api/inbox."""

from __future__ import annotations

from fastapi import APIRouter, Response

from shammah.protocol import InboxItem, Listing, SettleRequest
from shammah.store.database import Store
from shammah_daemon.document import errors
from shammah_daemon.inbox import Waiting
from shammah_daemon.routes.learning import views_of
from shammah_daemon.services import Wired

router = APIRouter(tags=["inbox"])


@router.get("/api/inbox")
async def inbox(services: Wired) -> Listing[InboxItem]:
    """What waits for the user's word, the most urgent kind first."""
    found = await services.inbox.look()
    return await services.database.run(lambda store: Listing(data=[_item(store, w) for w in found]))


@router.post("/api/inbox/settle", status_code=204, responses=errors(404, 409, 507))
async def settle(request: SettleRequest, services: Wired) -> Response:
    """Which of two examples that ask the same holds."""
    await services.inbox.settle(request.first_id, request.second_id, request.holds_id)
    return Response(status_code=204)


def _item(store: Store, waiting: Waiting) -> InboxItem:
    views = views_of(store, [one for one in (waiting.example, waiting.older) if one is not None])
    return InboxItem(
        kind=waiting.kind,
        example=views[0],
        older=views[1] if len(views) > 1 else None,
        secrets=waiting.secrets,
    )
