"""The rules of the doors, without a connection."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.errors import TooLarge
from shammah_daemon.doors.attempts import ADDRESSES, ALLOWED, WINDOW_SECONDS, Attempts
from shammah_daemon.doors.rules import BODY_BYTES, NESTING, check_host, check_nesting

JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def is_too_deep(body: bytes) -> bool:
    try:
        check_nesting(body)
    except TooLarge:
        return True
    return False


@given(JSON, st.integers(0, NESTING + 20), st.booleans())
def test_depth_is_that_of_the_json_whatever_its_strings_say(
    value: Any, more: int, ascii_only: bool
) -> None:
    for _ in range(more):
        value = [value, '"[{\\"', {}]
    body = json.dumps([value] + [[]] * NESTING, ensure_ascii=ascii_only).encode()
    assert is_too_deep(body) == (depth_of(value) + 1 > NESTING)


@pytest.mark.parametrize(
    "piece", [b"[", b"[]", b'"', b'\\"', b'"["[', b"[[]]", b"\\", b'{"a":'], ids=repr
)
def test_the_longest_body_is_counted_in_bounded_time(piece: bytes) -> None:
    body = b"[" * NESTING + piece * (BODY_BYTES // len(piece))
    began = time.process_time()
    is_too_deep(body)
    assert time.process_time() - began < 5


def test_with_remote_programs_any_address_is_ours_and_still_no_name() -> None:
    check_host("192.168.1.7:8741", (), remote=True)
    check_host("host.docker.internal:8741", ["host.docker.internal"], remote=True)
    for name in ("evil.example", "192.168.1.7.evil.example", ""):
        with pytest.raises(Exception, match="is not one of this daemon's"):
            check_host(name, (), remote=True)


def test_failures_are_forgotten_with_time_and_apart_for_each_address() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    assert [attempts.failed("a") for _ in range(ALLOWED)] == [0.0] * ALLOWED
    assert attempts.failed("a") == WINDOW_SECONDS
    assert attempts.failed("b") == 0.0
    now = WINDOW_SECONDS
    assert attempts.failed("a") == 0.0


def test_addresses_without_end_are_not_all_remembered() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(10 * ADDRESSES):
        attempts.failed(str(number))
    assert len(attempts._failures) == ADDRESSES
