"""The doors as ASGI middleware: who comes in, and with what. What the rules are is in `rules`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from starlette.datastructures import Headers

from shammah import token
from shammah.config import DaemonConfig
from shammah.errors import ConfigError, Refused, TooManyAttempts, Unauthorized, WrongContent
from shammah_daemon import failures
from shammah_daemon.doors import rules
from shammah_daemon.doors.attempts import Attempts
from shammah_daemon.doors.connection import PEER
from shammah_daemon.doors.peers import Peer

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Open to everybody: it says nothing about the user.
OPEN = "/health"

#: Longer bodies are looked through in a thread.
_SHORT_BYTES = 1 << 18


def behind_doors(app: App, config: DaemonConfig, token_file: Path) -> App:
    """The application, reached by whom the settings let in, with bodies that it can bear."""
    return Entry(Bodies(app), config, token_file, Attempts())


@dataclass(frozen=True)
class Entry:
    """Asks who it is: our own user on the socket, a bearer of the token on TCP; no web page."""

    app: App
    config: DaemonConfig
    token_file: Path
    attempts: Attempts

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope["state"][PEER], scope["path"], Headers(scope=scope))
            except Refused as error:
                await _refuse(error, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, peer: Peer, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        rules.check_origin(headers.get("origin"), host)
        if peer.address is None:
            if not peer.is_ourselves:
                log.warning("another user on the socket", uid=peer.uid)
                raise Refused(
                    "this daemon talks to its own user only",
                    hint="'shammah daemon start' starts one of yours",
                )
            return
        names = {self.config.host, *self.config.allowed_hosts}
        rules.check_host(host, names, remote=self.config.allow_remote)
        if path != OPEN:
            self._check_token(peer.address, headers)

    def _check_token(self, address: str, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() == "bearer" and token.matches(
                self.token_file, given.strip().encode()
            ):
                return
        except ConfigError as error:
            log.error("the token cannot be read", problem=error.message)
        wait_seconds = self.attempts.failed(address)
        if wait_seconds:
            raise TooManyAttempts(
                f"too many wrong tokens, try again in {wait_seconds:.0f} s",
                hint="'shammah daemon token' prints the right one",
            )
        log.warning("a wrong token" if given else "no token", address=address)
        raise Unauthorized(
            "the token is wrong" if given else "a token is needed",
            hint="give what 'shammah daemon token' prints as the API key",
        )


@dataclass(frozen=True)
class Bodies:
    """Reads what is sent with a request, no more of it than makes sense, and passes it on."""

    app: App

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        length = headers.get("content-length")
        if length == "0" or (length is None and "transfer-encoding" not in headers):
            await self.app(scope, receive, send)
            return
        try:
            if length is not None and int(length) > rules.limit_of(path):
                raise rules.too_long(path)
            rules.check_content_type(headers.get("content-type", ""), path)
            if headers.get("content-encoding", "identity") != "identity":
                raise WrongContent("bodies that are packed are not taken", hint="send it plain")
            if path in rules.FORMS:
                await _Metered(self.app, scope, receive, send).run()
                return
            body = await _whole(receive, path)
            if body is None:
                return  # the client is gone
            if len(body) < _SHORT_BYTES:
                rules.check_nesting(body)
            else:
                await asyncio.to_thread(rules.check_nesting, body)
        except Refused as error:
            await _refuse(error, scope, receive, send)
            return
        await self.app(scope, _then(body, receive), send)


class _Metered:
    """A request whose body goes on as it comes. One that grows too long ends for the application as
    if its client had left, and for the client with a refusal."""

    def __init__(
        self, app: App, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left_bytes = rules.limit_of(scope["path"])
        self._answered = False

    async def run(self) -> None:
        await self._app(self._scope, self._receive_some, self._send_unless_refused)
        if self._left_bytes < 0 and not self._answered:
            raise rules.too_long(self._scope["path"])

    async def _receive_some(self) -> Message:
        message = await self._receive()
        self._left_bytes -= len(message.get("body", b""))
        return message if self._left_bytes >= 0 else {"type": "http.disconnect"}

    async def _send_unless_refused(self, message: Message) -> None:
        if self._left_bytes >= 0 or self._answered:
            self._answered = True
            await self._send(message)


async def _whole(receive: Receive, path: str) -> bytes | None:
    """The body; None if the client leaves before its end. Raises TooLarge."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > rules.limit_of(path):
            raise rules.too_long(path)
        if not message.get("more_body", False):
            return bytes(body)


def _then(body: bytes, receive: Receive) -> Receive:
    """Gives `body`, and after it whatever comes."""
    given = False

    async def receive_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body


async def _refuse(
    error: Refused, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    response = failures.response(error)
    if isinstance(error, Unauthorized):
        response.headers["www-authenticate"] = "Bearer"
    if isinstance(error, TooManyAttempts):
        response.headers["retry-after"] = "60"
    await response(scope, receive, send)
