"""The TCP port for other programs: off unless a port is set, and on this machine unless said so."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

from shammah.config import DaemonConfig
from shammah.errors import ConfigError


@contextlib.contextmanager
def tcp_listener(config: DaemonConfig) -> Iterator[socket.socket | None]:
    """A socket that listens where the settings say; None without a port.

    Raises:
        ConfigError: the address cannot be had, or other machines could reach it unasked.
    """
    if not config.port:
        yield None
        return
    family, address = resolve(config)
    try:
        listener = socket.create_server((address, config.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host}, port {config.port}: {error.strerror}",
            hint="choose another one: 'shammah config set daemon.port 8742'",
        ) from error
    with listener:
        yield listener


def resolve(config: DaemonConfig) -> tuple[socket.AddressFamily, str]:
    """The address of `daemon.host`; of several the IPv4 one, which more clients try first.

    Raises:
        ConfigError: no such host, or other machines reach it and `daemon.allow_remote` is not set.
    """
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"daemon.host = {config.host!r} is no address of this machine: {error.strerror}",
            hint="'shammah config set daemon.host 127.0.0.1'",
        ) from error
    family, *_, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    name = str(address[0])
    if not ipaddress.ip_address(name.partition("%")[0]).is_loopback and not config.allow_remote:
        raise ConfigError(
            f"daemon.host = {config.host!r} can be reached by other machines",
            hint="'shammah config set daemon.allow_remote true' if that is meant; nothing is "
            "encrypted on the way",
        )
    return family, name
