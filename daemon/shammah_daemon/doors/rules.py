"""What may come in, as pure functions of a request's parts. Each says no with an error of its own.

Knows no ASGI and no connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from itertools import accumulate
from urllib.parse import urlsplit

from shammah.errors import Refused, TooLarge, WrongContent

#: A request that fills a context of 128,000 tokens is below 1 MB. What is longer is a mistake, and
#: all of it would be in memory, more than once.
BODY_BYTES = 8 << 20

#: Where examples come in by the thousand: 10,000 with long conversations take about 20 MB.
FILE_BYTES = dict.fromkeys(("/v1/files", "/api/examples/import"), 64 << 20)

#: Where they come as a form, as OpenAI's clients send files.
FORMS = ("/v1/files",)

#: The deepest body that makes sense is a JSON schema of a tool; parsers recurse.
NESTING = 64

_KEPT = b'[]{}"'
_OTHERS = bytes(set(range(256)) - set(_KEPT))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one in, one out


def check_host(header: str, ours: Collection[str], *, remote: bool) -> None:
    """Make sure that a request was meant for us: DNS rebinding sends a web page's requests to an
    address of this machine, under the page's own name.

    Args:
        ours: names that the user knows this machine by.
        remote: other machines may come, by whatever address this one has.

    Raises:
        Refused: the name is none of ours.
    """
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        name = ""
    if name == "localhost" or name in map(str.lower, ours):  # RFC 3986, 3.2.2: case means nothing
        return
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    if address is None or not (address.is_loopback or remote):
        raise Refused(
            f"the Host {header[:100]!r} is not one of this daemon's",
            hint="use 127.0.0.1 in the URL, or add the name to daemon.allowed_hosts",
        )


def check_origin(origin: str | None, host: str) -> None:
    """Make sure that no other web page's script sends the request (RFC 6454, section 7).

    Raises:
        Refused: it comes from a page of another origin.
    """
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise Refused(
            f"requests from pages of the origin {origin[:100]!r} are not let in",
            hint="programs send no Origin; a page needs a server of its own that asks for it",
        )


def check_content_type(content_type: str, path: str) -> None:
    """Make sure that a body says it is JSON, which no HTML form can, or a form where files come in.

    Raises:
        WrongContent: it says something else, or nothing.
    """
    wanted = "multipart/form-data" if path in FORMS else "application/json"
    if content_type.partition(";")[0].strip().lower() != wanted:
        raise WrongContent(
            f"the body has the content type {content_type[:100]!r}, not {wanted}",
            hint=f"send the header Content-Type: {wanted}",
        )


def limit_of(path: str) -> int:
    """Bytes that a body to `path` may have."""
    return FILE_BYTES.get(path, BODY_BYTES)


def too_long(path: str) -> TooLarge:
    return TooLarge(
        f"the body has more than {limit_of(path) >> 20} MiB",
        hint="send less at once",
    )


def check_nesting(body: bytes) -> None:
    """Make sure that a JSON text can be parsed without deep recursion. Parses nothing itself.

    Raises:
        TooLarge: it is nested deeper than `NESTING`.
    """
    if body.count(b"[") + body.count(b"{") <= NESTING:
        return
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    kept = unescaped.translate(None, _OTHERS).replace(b'""', b"")
    outside = b"".join(kept.split(b'"')[::2])
    steps = memoryview(outside.translate(_STEPS)).cast("b")
    if max(accumulate(steps), default=0) > NESTING:
        raise TooLarge(f"the body is nested deeper than {NESTING}", hint="send a flatter one")
