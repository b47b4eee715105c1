"""A real Chromium for tests, driven over the DevTools protocol.

Protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",  # Tests run as root in containers, where Chromium's own sandbox cannot.
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_RESOLVED: Final = "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
"""It talks to servers under test alone."""
_READY_S: Final = 30.0
_ANSWER_S: Final = 20.0

Event = tuple[str, dict[str, Any]]
"""The name of something that has happened, and what is told of it."""


def find_browser() -> str | None:
    """The program, or None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Refused(Exception):
    """The browser refuses a command, or an expression raises."""


@dataclass
class Browser:
    """A browser with one page. Every method waits until it is done."""

    process: subprocess.Popen[bytes]
    runner: asyncio.Runner
    session: aiohttp.ClientSession
    socket: aiohttp.ClientWebSocketResponse
    events: list[Event] = field(default_factory=list)
    """What has happened since the last `forget`."""
    _ids: count[int] = field(default_factory=lambda: count(1))
    _page: str = ""

    @classmethod
    def start(cls, directory: Path, *, stand_in: tuple[str, int] | None = None) -> Self:
        """Start a browser with its profile in `directory`, and open its page.

        `stand_in` has a pattern of names of hosts, and the port of this machine where a server with
        any certificate answers for them.
        """
        program = find_browser()
        assert program is not None
        options = [*_OPTIONS, f"--host-resolver-rules={_RESOLVED}"]
        if stand_in is not None:
            hosts, port = stand_in
            options[-1] = f"--host-resolver-rules=MAP {hosts} 127.0.0.1:{port}, {_RESOLVED}"
            options.append("--ignore-certificate-errors")
        with (directory / "browser.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 (a browser that tests own)
                [program, *options, f"--user-data-dir={directory}", "about:blank"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        runner = asyncio.Runner()
        try:
            url = _wait_for_address(process, directory / "DevToolsActivePort")
            session, socket = runner.run(_connect(url))
        except BaseException:
            process.kill()
            process.wait()
            runner.close()
            raise
        browser = cls(process, runner, session, socket)
        browser._attach()
        return browser

    def close(self) -> None:
        """End the browser and everything that it has started."""
        try:
            self.command("Browser.close")
            self.process.wait(_ANSWER_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.runner.run(self.session.close())
            self.runner.close()

    def command(self, method: str, **params: Any) -> Any:
        """Give a command of the protocol; returns its result. Raises `Refused`."""
        return self.runner.run(self._command(method, params))

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded with everything that it shows."""
        self.loading(lambda: self.command("Page.navigate", url=url))

    def click(self, text: str) -> None:
        """Press the mouse in the middle of the first link, button or label with this text."""
        x, y = self.evaluate(
            "(() => { const found = [...document.querySelectorAll('a[href], button, label')].find("
            f"one => one.textContent.trim() === {json.dumps(text)});"
            "found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    def type(self, selector: str, text: str) -> None:
        """Type into a field, after what is in it."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.command("Input.insertText", text=text)

    def wait_until(self, expression: str) -> None:
        """Wait until an expression is true, as scripts of the page change it."""
        self.evaluate(
            f"new Promise(done => {{ const look = () => ({expression}) ? done() : "
            "requestAnimationFrame(look); look(); })"
        )

    def follow(self, text: str) -> None:
        """Click a link, and wait until the page that it leads to is loaded."""
        self.loading(lambda: self.click(text))

    def loading(self, action: Callable[[], object]) -> None:
        """Do what leads to another page, and wait until that is loaded."""
        self.forget()
        action()
        self.wait_for("Page.loadEventFired")

    def wait_for(self, method: str) -> dict[str, Any]:
        """Wait until an event of this name has happened since the last `forget`."""
        return self.runner.run(asyncio.wait_for(self._event(method), _ANSWER_S))

    def wait_for_answer(self, path: str) -> None:
        """Wait until a script of the page has got a good answer since the last `forget`."""

        def is_answer(event: dict[str, Any]) -> bool:
            response = event["response"]
            asked = event["type"] == "Fetch" and urlsplit(response["url"]).path == path
            return asked and bool(response["status"] == 200)

        event = self._event("Network.responseReceived", is_answer)
        self.runner.run(asyncio.wait_for(event, _ANSWER_S))

    def forget(self) -> None:
        """Forget what has happened so far."""
        self.events.clear()

    def evaluate(self, expression: str) -> Any:
        """The value of an expression within the page, which may be a promise. Raises `Refused`.

        This works also where the page's own scripts may not run.
        """
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise Refused(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        """What the browser has had to complain of since the last `forget`."""
        return [
            str(params)
            for name, params in self.events
            if name in ("Runtime.exceptionThrown", "Network.loadingFailed")
            or (name == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"))
        ]

    def _attach(self) -> None:
        targets = self.command("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        answer = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._page = answer["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    async def _command(self, method: str, params: dict[str, Any]) -> Any:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._page:
            message["sessionId"] = self._page
        await self.socket.send_json(message)
        async with asyncio.timeout(_ANSWER_S):
            while (answer := await self._receive()).get("id") != number:
                pass
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']}")
        return answer["result"]

    async def _event(
        self, method: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        while True:
            for name, params in self.events:
                if name == method and wanted(params):
                    return params
            await self._receive()

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.socket.receive_json()
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message


def _wait_for_address(process: subprocess.Popen[bytes], file: Path) -> str:
    """The address that the browser listens on: it writes it into a file when it does."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the browser ended early, with {process.returncode}")
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    raise TimeoutError("the browser was not ready in time")


async def _connect(url: str) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    session = aiohttp.ClientSession()
    return session, await session.ws_connect(url, max_msg_size=0)
