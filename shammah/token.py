"""The token that opens the daemon's TCP port: one file, for its user alone. Knows no HTTP."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from shammah.errors import ConfigError
from shammah.files import write_atomically

_BYTES = 32


def ensure(path: Path) -> str:
    """The token in `path`, made if there is none.

    Raises:
        ConfigError: others may read the file, or there is nothing in it.
    """
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(_BYTES).encode())
    return read(path)


def read(path: Path) -> str:
    """The token in `path`.

    Raises:
        ConfigError: no such file, one that others may read, or one with nothing in it.
    """
    mended = f"remove {path} and make another with 'shammah daemon token'"
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"others may read {path}", hint=mended)
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}", hint=mended) from error
    if not token:
        raise ConfigError(f"{path} is empty", hint=mended)
    return token


def matches(path: Path, given: bytes) -> bool:
    """Whether `given` is the token; how long that takes does not tell how much of it is right.

    Read anew each time, so that a token that was removed opens nothing any more.

    Raises:
        ConfigError: see `read`.
    """
    return hmac.compare_digest(read(path).encode(), given)
