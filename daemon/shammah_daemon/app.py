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
from shammah_daemon.ending import Ending
from shammah_daemon.measuring import Measuring
from shammah_daemon.routes import (
    adapters,
    backup,
    chat,
    hardware,
    importing,
    inbox,
    jobs,
    learning,
    logs,
    models,
    sessions,
    settings,
    system,
    text,
    tuning,
    turns,
)
from shammah_daemon.services import Services

log = structlog.get_logger()


def create(build: Callable[[], Services], ending: Ending) -> FastAPI:
    """The application; `build` is called inside the running event loop."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = build()
        app.state.services = services
        await _set_up_model(services)
        work = [
            asyncio.create_task(_load_model(services)),
            asyncio.create_task(services.supervisor.run()),
            asyncio.create_task(services.scheduler.run()),
            asyncio.create_task(services.hardware.run()),
        ]
        alive = asyncio.create_task(services.systemd.keep_alive())
        end = asyncio.create_task(ending.carry_out(services, work))
        try:
            yield
        finally:
            ending.answered()
            await end
            alive.cancel()

    app = FastAPI(
        title="Shammah", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    failures.install(app)
    # What imports comes before what takes an id at the same place.
    for module in (
        models,
        chat,
        text,
        turns,
        sessions,
        importing,
        learning,
        inbox,
        jobs,
        tuning,
        adapters,
        system,
        backup,
        hardware,
        logs,
        settings,
    ):
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
        services.systemd.tell()
        await services.learning.start_if_due()
    except ShammahError as error:
        log.error("the model cannot be loaded", problem=error.message)
