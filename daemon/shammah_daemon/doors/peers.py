"""Who is at the other end of a connection, as the kernel says it."""

from __future__ import annotations

import os
import socket
import struct
import sys
from asyncio.trsock import TransportSocket
from dataclasses import dataclass

#: <sys/un.h> of macOS and the BSDs; Python does not name them.
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1


@dataclass(frozen=True)
class Peer:
    """The other end: a user of this machine on the unix socket, or an address on TCP."""

    uid: int | None = None  # of the process that connected; None if it cannot be told
    address: str | None = None  # None on the unix socket

    @property
    def is_remote(self) -> bool:
        """Over TCP, be it from this machine: anybody on it may connect there."""
        return self.address is not None

    @property
    def is_ourselves(self) -> bool:
        return self.uid == os.geteuid()


def peer_of(connected: TransportSocket) -> Peer:
    """The peer of an accepted connection."""
    if connected.family == socket.AF_UNIX:
        return Peer(uid=_uid_of(connected))
    try:
        return Peer(address=str(connected.getpeername()[0]))
    except OSError:  # it is gone already
        return Peer(address="unknown")


def _uid_of(connected: TransportSocket) -> int | None:
    """Who connected: SO_PEERCRED (unix(7)), or LOCAL_PEERCRED (unix(4) of the BSDs and macOS)."""
    try:
        if sys.platform == "linux":
            layout = struct.Struct("3i")  # struct ucred: pid, uid, gid
            option = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
        else:
            layout = struct.Struct("2Ih16I")  # struct xucred: version, uid, count, groups
            option = connected.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, layout.size)
        return int(layout.unpack(option)[1])
    except (OSError, struct.error):
        return None
