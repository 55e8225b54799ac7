"""The monitor in a browser on this machine: the same program, drawn by textual-serve.

Whoever opens it must know a token, made anew for each run. Knows nothing of the monitor itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import socket
import sys
from hmac import compare_digest
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from shammah.errors import UsageError

HOST = "127.0.0.1"

#: Names by which a browser on this machine reaches it. Any other is a page of somebody else's
#: whose name was made to lead here.
OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

_COOKIE = "shammah_monitor"


class Door(Server):
    """textual-serve's server, on the loopback only, behind a token."""

    def __init__(self, command: list[str], port: int, token: str) -> None:
        super().__init__(
            shlex.join(command),
            host=HOST,
            port=port,
            title="Shammah",
            templates_path=Path(__file__).parent,
        )
        self._token = token
        self._windows: set[asyncio.Task[object]] = set()

    @property
    def link(self) -> str:
        """What the user opens; the token is not asked for again in the same browser."""
        return f"{self.public_url}/?token={self._token}"

    def open(self, bound: socket.socket) -> None:
        """Serve until the user ends it. Nothing is logged: an address with the token in it must
        not be written down."""
        web.run_app(self._make_app(), sock=bound, access_log=None, print=None)

    async def on_startup(self, _app: web.Application) -> None:
        print(self.link, flush=True)
        print("Open it in a browser on this machine. Ctrl-C ends.", file=sys.stderr, flush=True)

    async def on_shutdown(self, _app: web.Application) -> None:
        """End the monitors of open windows while there is a loop to end them in."""
        for window in self._windows:
            window.cancel()
        await asyncio.gather(*self._windows, return_exceptions=True)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        window = asyncio.current_task()
        assert window is not None
        self._windows.add(window)
        try:
            return await super().handle_websocket(request)
        finally:
            self._windows.discard(window)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @property
    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.url.host not in OWN_NAMES or not _is_own_origin(request):
                raise web.HTTPForbidden(text="this monitor is for browsers on its own machine\n")
            cookie = f"{_COOKIE}_{self.port}"
            if self._knows(request.query.get("token")):
                opened = web.HTTPFound("/")
                opened.set_cookie(cookie, self._token, httponly=True, samesite="Strict")
                raise opened
            if not self._knows(request.cookies.get(cookie)):
                raise web.HTTPForbidden(
                    text="open the address that 'shammah tui --web' printed: it has the token\n"
                )
            response = await handler(request)
            if not response.prepared:
                response.headers["Cache-Control"] = "no-store"
                response.headers["Referrer-Policy"] = "no-referrer"
            return response

        return guard

    def _knows(self, token: str | None) -> bool:
        return token is not None and compare_digest(token.encode(), self._token.encode())


def serve(command: list[str], port: int) -> None:
    """Serve what `command` draws until the user ends it.

    Raises:
        UsageError: the port is taken.
    """
    try:
        bound = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"port {port} of {HOST} cannot be used: {os.strerror(error.errno or 0)}",
            hint="--port takes another",
        ) from error
    with bound:
        Door(command, port, secrets.token_urlsafe(24)).open(bound)


def _is_own_origin(request: web.Request) -> bool:
    """A page of another site must not reach the websocket."""
    origin = request.headers.get("Origin")
    return origin is None or origin == f"http://{request.host}"
