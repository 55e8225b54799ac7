"""Where the user's daemon is, and whether anything listens there. Speaks no HTTP."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shammah import token
from shammah.errors import ConfigError
from shammah.paths import Paths


@dataclass(frozen=True)
class Port:
    """A daemon's TCP port."""

    url: str  # without a path
    token: str


def place(paths: Paths, environ: Mapping[str, str] = os.environ) -> Path | Port:
    """Where the user's daemon is: the home's socket, or what `$SHAMMAH_URL` says.

    The token is `$SHAMMAH_TOKEN`, or the home's own, for a daemon on this machine.

    Raises:
        ConfigError: no URL of a daemon, or no token.
    """
    url = environ.get("SHAMMAH_URL")
    if not url:
        return paths.socket
    if not _is_of_a_daemon(url):
        raise ConfigError(
            f"SHAMMAH_URL = {url!r} is not the URL of a daemon",
            hint="as in SHAMMAH_URL=http://127.0.0.1:8741, the token in SHAMMAH_TOKEN",
        )
    given = environ.get("SHAMMAH_TOKEN")
    if not given and not paths.token.exists():
        raise ConfigError(
            f"there is no token for the daemon at {url}",
            hint="set SHAMMAH_TOKEN to what 'shammah daemon token' prints where it runs",
        )
    return Port(url.rstrip("/").removesuffix("/v1"), given or token.read(paths.token))


def listens(path: Path) -> bool:
    """Whether a process is behind the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _is_of_a_daemon(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        _ = parsed.port  # raises where it is no number, or too large
    except ValueError:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.hostname) and "@" not in parsed.netloc
