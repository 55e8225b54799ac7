"""`shammah tui --web`: the door, and the same monitor behind it."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from shammah.client import Client
from tests.running import Daemon, free_port, until
from tests.tui.chromium import BROWSER, chromium
from tests.tui.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.timeout(240, func_only=True)

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def link(living: Daemon) -> Iterator[str]:
    """What the command prints into a pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shammah.cli", "tui", "--web", "--port", str(free_port())],
        env=living.environment | {"PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        printed, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
        assert printed, "no address"
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("path", ["/", "/ws", "/static/js/textual.js", "/?token=wrong"])
def test_without_the_token_nothing_is_served(link: str, path: str) -> None:
    address = urlsplit(link)
    headers = UPGRADE if path == "/ws" else {}
    answer = httpx.get(f"http://{address.netloc}{path}", headers=headers)
    assert answer.status_code == 403
    assert "shammah tui --web" in answer.text


def test_with_the_token_the_page_is_served_and_asks_nobody_else(link: str) -> None:
    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(link)
        assert page.status_code == 200
        assert "token" not in str(page.url)
        assert "http" not in page.text.replace("location.origin.replace(/^http/", "")
        assert browser.get(page.url.join("/static/js/textual.js")).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=str
)
def test_a_page_of_another_site_is_refused_even_with_the_token(
    link: str, headers: dict[str, str]
) -> None:
    assert httpx.get(link, headers=headers).status_code == 403


def test_a_port_that_is_taken_is_one_clear_error_and_no_address(link: str, living: Daemon) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shammah.cli", "tui", "--web", "--port", str(urlsplit(link).port)],
        env=living.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "cannot be used" in done.stderr
    assert "--port takes another" in done.stderr


@pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")
async def test_in_a_browser_a_job_is_started_and_watched_and_a_version_rolled_back(
    link: str, client: Client
) -> None:
    with tempfile.TemporaryDirectory() as profile:
        async with chromium(Path(profile)) as window:
            await window.open(link)
            newest = client.jobs()[0].id
            await window.press("t")
            await until(lambda: client.jobs()[0].id > newest)
            await window.press("c")
            await window.press("y")
            await until(lambda: client.jobs()[0].state == "cancelled")
            await window.press("b")
            await window.press("y")
            await until(lambda: client.status().active_version == 0)
    client.rollback(1)
