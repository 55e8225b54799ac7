"""The FastAPI application: routes over services, and what runs as long as it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from fastapi import FastAPI

from shammah import __version__
from shammah.errors import ShammahError
from shammah_daemon import document, failures
from shammah_daemon.measuring import Measuring
from shammah_daemon.routes import chat, inbox, jobs, learning, models, system, text, turns
from shammah_daemon.services import Services

log = structlog.get_logger()


def create(build: Callable[[], Services]) -> FastAPI:
    """The application; `build` is called inside the running event loop."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = build()
        app.state.services = services
        await _set_up_model(services)
        background = [
            asyncio.create_task(_load_model(services)),
            asyncio.create_task(services.supervisor.run()),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await services.anticipation.close()
            await services.bases.close()
            await services.guest.close()
            await services.serving.close()
            services.database.close()

    app = FastAPI(title="Shammah", version=__version__, lifespan=lifespan)
    failures.install(app)
    for module in (models, chat, text, turns, learning, inbox, jobs, system):
        app.include_router(module.router)
    app.add_middleware(Measuring)
    document.install(app)
    return app


async def _set_up_model(services: Services) -> None:
    """Know what to serve before the first request; a missing model is said, not fatal."""
    try:
        await services.models.set_up()
    except ShammahError as error:
        services.serving.lack(error)
        log.error("no model to serve", problem=error.message)


async def _load_model(services: Services) -> None:
    """Load what is to be served and prepare its base, while requests come in already."""
    try:
        await services.models.load()
        await services.learning.start_if_due()
    except ShammahError as error:
        log.error("the model cannot be loaded", problem=error.message)
