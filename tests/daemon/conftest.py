"""Clients of the daemon under test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from shammah.client import Client
from tests.running import Daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client as client:
        yield client


@pytest.fixture
def http(daemon: Daemon) -> Iterator[httpx.Client]:
    """Any OpenAI client: knows nothing of Shammah."""
    transport = httpx.HTTPTransport(uds=str(daemon.paths.socket))
    with httpx.Client(transport=transport, base_url="http://any", timeout=60) as http:
        yield http
