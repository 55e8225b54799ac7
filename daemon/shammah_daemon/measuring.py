"""Counts every request by the pattern of its route and the status of its answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The label of requests that no route takes: their paths are the clients' own words.
NO_ROUTE = "none"

_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"})


class Measuring:
    """ASGI middleware around the application whose services hold the metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                method = scope["method"] if scope["method"] in _METHODS else NO_ROUTE
                metrics = scope["app"].state.services.metrics
                metrics.requested(method, route, message["status"])
            await send(message)

        await self._app(scope, receive, counting)
