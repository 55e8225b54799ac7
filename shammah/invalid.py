"""What pydantic finds wrong with a value, as our own errors say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

#: How pydantic begins the message of a validator's ValueError.
_PREFIX = "Value error, "


class Fault(NamedTuple):
    """The first thing that is wrong."""

    where: str  # the names that lead to the value, with dots between; empty for the whole
    name: str  # the first of them, which may have dots of its own
    message: str
    given: Any  # the value; may be private
    is_unknown: bool  # nothing is called so


class Invalid(Protocol):
    """pydantic's ValidationError, and FastAPI's of a request."""

    def errors(self) -> Sequence[Any]: ...


def first_fault(error: Invalid) -> Fault:
    """Of what `error` found."""
    first = error.errors()[0]
    return Fault(
        where=".".join(map(str, first["loc"])),
        name=str(first["loc"][0]) if first["loc"] else "",
        message=first["msg"].removeprefix(_PREFIX),
        given=first.get("input"),
        is_unknown=first["type"] == "extra_forbidden",
    )
