"""/v1/models: what requests may name."""

from __future__ import annotations

from fastapi import APIRouter

from shammah.completions import ModelCard, ModelList
from shammah.errors import ModelNotFound
from shammah_daemon.document import errors
from shammah_daemon.services import Wired

router = APIRouter(tags=["models"])


@router.get("/v1/models")
async def models(services: Wired) -> ModelList:
    """`shammah`, whatever serves; `base`, the active base itself; `shammah@N`, its versions."""
    return ModelList(data=await services.naming.cards())


@router.get("/v1/models/{model}", responses=errors(404))
async def model(model: str, services: Wired) -> ModelCard:
    """One of them."""
    found = next((card for card in await services.naming.cards() if card.id == model), None)
    if found is None:
        raise ModelNotFound(
            f"the model {model!r} does not exist", hint="GET /v1/models lists those that do"
        )
    return found
