"""One connection to the daemon: uvicorn's, with deadlines for what a client says, and a bound on
how many there are. Knows no rule about what is said."""

from __future__ import annotations

import asyncio
from typing import Final

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from shammah.errors import ShammahError, TooManyConnections, TooSlow, UsageError
from shammah_daemon import failures
from shammah_daemon.doors.peers import Peer, peer_of

log = structlog.get_logger()

#: The key in a request's ASGI state (`scope["state"]`) that says who sends it.
PEER = "peer"

#: Time to send the headers of a request, from its first byte or from connecting.
HEADER_SECONDS = 5.0

#: Time to send a body; what arrives buys more at this rate (as Apache's mod_reqtimeout counts).
BODY_SECONDS = 10.0
SLOWEST_BYTES_PER_SECOND = 64 << 10

#: Open at the same time. Streams of events are connections too; a dozen programs need no more.
TCP_CONNECTIONS = 64
UNIX_CONNECTIONS = 256

_HEADERS: Final = object()


class Connection(H11Protocol):
    """uvicorn waits for ever for a request that has begun to arrive. This does not."""

    peer: Peer
    _deadline: asyncio.TimerHandle | None = None
    _awaited: object = None  # what the deadline is for
    _awaited_since = 0.0
    _arrived_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.peer = peer_of(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, PEER: self.peer}
        super().connection_made(transport)
        if self._is_one_too_many():
            log.warning("too many connections", tcp=self.peer.is_remote)
            self.refuse(
                TooManyConnections("there are too many connections", hint="close some of them")
            )
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        self._arrived_bytes += len(data)
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is not HTTP, in our shape."""
        self.refuse(UsageError(msg), status=400)

    def refuse(self, error: ShammahError, status: int | None = None) -> None:
        """Answer with `error`, if nothing was answered yet, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = failures.response(error)
            headers = [*response.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=status or response.status_code, headers=headers),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whoever reads the body learns it now
            self.cycle.message_event.set()
        self.transport.close()

    def _is_one_too_many(self) -> bool:
        alike = sum(
            isinstance(other, Connection) and other.peer.is_remote == self.peer.is_remote
            for other in self.connections
        )
        return alike > (TCP_CONNECTIONS if self.peer.is_remote else UNIX_CONNECTIONS)

    def _watch(self) -> None:
        """Set a deadline for what the client is in the midst of saying, once for each part."""
        awaited: object = None
        if self.conn.their_state is h11.IDLE:
            awaited = _HEADERS
        elif self.conn.their_state is h11.SEND_BODY:
            awaited = self.cycle
        if awaited is self._awaited and self._deadline is not None:
            return
        self._stop_watching()
        if awaited is not None and not self.transport.is_closing():
            self._awaited, self._awaited_since = awaited, self.loop.time()
            self._arrived_bytes = 0
            self._deadline = self.loop.call_at(self._due(), self._look)

    def _due(self) -> float:
        """When this part must be complete, by the loop's clock."""
        if self._awaited is _HEADERS:
            return self._awaited_since + HEADER_SECONDS
        due = self._awaited_since + BODY_SECONDS
        if self.cycle.response_complete:  # refused: the rest is thrown away, and buys nothing
            return due
        return due + self._arrived_bytes / SLOWEST_BYTES_PER_SECOND

    def _look(self) -> None:
        if (due := self._due()) > self.loop.time():
            self._deadline = self.loop.call_at(due, self._look)
            return
        self._deadline = None
        if self._awaited is _HEADERS and not self.conn.trailing_data[0]:
            self.transport.close()  # it has said nothing at all
            return
        what = "headers" if self._awaited is _HEADERS else "body"
        log.warning("a request was too slow", part=what, tcp=self.peer.is_remote)
        self.refuse(TooSlow(f"the request's {what} did not arrive in time"))

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._awaited = None
