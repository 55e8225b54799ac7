"""/v1/feedback and /api/examples."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from shammah.protocol import (
    Draft,
    ExampleList,
    ExampleView,
    FeedbackReceipt,
    FeedbackRequest,
    FixRequest,
    ForgetReceipt,
    ForgetRequest,
    Id,
)
from shammah.records import Active, Example, ExampleStatus
from shammah.store.database import Store
from shammah_daemon.document import errors
from shammah_daemon.services import Wired

router = APIRouter(tags=["learning"])

#: In one page: of more, a stream would have to wait for its turn.
MOST_EXAMPLES = 500


@router.post("/v1/feedback", responses=errors(404, 409, 507))
async def feedback(request: FeedbackRequest, services: Wired) -> FeedbackReceipt:
    """Feedback on an answer; durable when this answers."""
    return await services.learning.feedback(request)


@router.get("/api/examples")
async def examples(
    services: Wired,
    status: ExampleStatus | None = None,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_EXAMPLES)] = MOST_EXAMPLES,
) -> ExampleList:
    """Newest first; forgotten ones only when asked for. `before` the last id leads to the rest."""
    found = await services.database.run(
        lambda store: views_of(store, store.examples.list(status, before, limit + 1))
    )
    return ExampleList(data=found[:limit], has_more=len(found) > limit)


@router.post("/api/examples/fix", responses=errors(404, 409, 507))
async def fix(request: FixRequest, services: Wired) -> FeedbackReceipt:
    """Set the target of an example, or of the one that the newest feedback made."""
    return await services.learning.fix(request)


@router.get("/api/examples/{example_id}", responses=errors(404))
async def example(example_id: Id, services: Wired) -> ExampleView:
    """One example."""
    return await services.database.run(
        lambda store: views_of(store, [store.examples.get(example_id)])[0]
    )


@router.post("/api/examples/{example_id}/draft", responses=errors(404, 409, 503, 507))
async def draft(example_id: Id, services: Wired) -> Draft:
    """A proposal for what the answer should have been."""
    return await services.learning.draft(example_id)


@router.post("/api/examples/{example_id}/allow", responses=errors(404, 409, 507))
async def allow(example_id: Id, services: Wired) -> FeedbackReceipt:
    """Teach it although it may hold a secret."""
    return await services.learning.allow(example_id)


@router.post("/api/examples/{example_id}/discard", responses=errors(404, 409, 507))
async def discard(example_id: Id, services: Wired) -> ExampleView:
    """Never complete a draft."""
    discarded = await services.inbox.discard(example_id)
    return await services.database.run(lambda store: views_of(store, [discarded])[0])


@router.post("/api/examples/{example_id}/forget", responses=errors(404, 409, 507))
async def forget(
    example_id: Id, services: Wired, request: ForgetRequest | None = None
) -> ForgetReceipt:
    """Erase its words and never teach it again."""
    return await services.forgetting.forget(example_id, now=bool(request and request.now))


def views_of(store: Store, examples: list[Example]) -> list[ExampleView]:
    """Examples with what the active version and the newest gate know of them."""
    active = store.pointer.active() or Active("", 0)
    ids = [item.id for item in examples]
    taught = store.versions.taught(active.version, ids)
    newest = store.verdicts.newest_of(ids)
    return [
        ExampleView.model_validate(item, from_attributes=True).model_copy(
            update={
                "taught": taught.get(item.id) == item.content_hash,
                "verdict": newest.get(item.id),
            }
        )
        for item in examples
    ]
