"""Headless Chromium over its DevTools protocol: opens pages, presses keys, takes pictures."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""

#: Keys that are no letters, as DevTools wants them.
KEYS = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "Tab": 9}


class Window:
    """One page."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def open(self, url: str) -> None:
        await self._do("Page.navigate", url=url)
        while not await self.evaluate("document.body?.classList.contains('-first-byte')"):
            await asyncio.sleep(0.05)

    async def press(self, key: str) -> None:
        shared: dict[str, Any] = {"key": key}
        if key in KEYS:
            shared["windowsVirtualKeyCode"] = KEYS[key]
            await self._do("Input.dispatchKeyEvent", type="rawKeyDown", **shared)
        else:
            await self._do("Input.dispatchKeyEvent", type="keyDown", text=key, **shared)
        await self._do("Input.dispatchKeyEvent", type="keyUp", **shared)

    async def evaluate(self, script: str) -> Any:
        done = await self._do("Runtime.evaluate", expression=script, returnByValue=True)
        return done["result"].get("value")

    async def picture(self, path: Path) -> None:
        done = await self._do("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(done["data"]))

    async def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=30)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result


@asynccontextmanager
async def chromium(profile: Path, size: tuple[int, int] = (1200, 760)) -> AsyncIterator[Window]:
    """A browser that reaches this machine only, ended after."""
    process = await asyncio.create_subprocess_exec(
        BROWSER, "--headless", "--disable-gpu", "--remote-debugging-port=0",
        *(["--no-sandbox"] if os.getuid() == 0 else []),
        f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json") as response:
                pages = await response.json()
            page = next(one for one in pages if one["type"] == "page")
            async with http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Window(socket)
    finally:
        process.kill()
        await process.wait()


async def _port(file: Path) -> int:
    while not file.exists() or "\n" not in file.read_text():
        await asyncio.sleep(0.05)
    return int(file.read_text().split("\n")[0])
