"""Chromium without a window, spoken to over its own pipe: real widths, colours, paper, and its console."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
)
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PIPES = (
    "import os, sys; [os.dup2(int(fd), at) for at, fd in zip((3, 4), sys.argv[1:3])]; "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
"""The browser takes its requests at 3 and answers at 4."""
PATIENCE_SECONDS = 60
_SAID = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


def browser_path() -> str | None:
    """Return the browser that is installed, if any, and can be spoken to over pipes."""
    if sys.platform == "win32":
        return None
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab; `console` is what was said since the last page was opened."""

    def __init__(self, path: str, profile: Path) -> None:
        """Start it, with a profile of its own and no network but this machine's."""
        import fcntl  # noqa: PLC0415 - where there is none, as on Windows, the tests are skipped

        theirs, self._requests = os.pipe()
        self._answers, ours = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs, ours)]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                PIPES,
                *map(str, ends),
                path,
                *FLAGS.split(),
                OFFLINE,
                f"--user-data-dir={profile}",
            ],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (theirs, ours, *ends):
            os.close(fd)
        self._rest = b""
        self._asked = 0
        self._session: dict[str, str] = {}
        self._look: list[dict[str, str]] = []
        self._events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = {
            "sessionId": self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        }
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Ask for something, and return the answer."""
        self._asked += 1
        request = {"id": self._asked, "method": method, "params": params} | self._session
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._asked:
                assert "error" not in message, message
                return message["result"]
            self._events.append(message)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._answers, 1 << 20)
            assert data, "the browser is gone"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, address: str, *, width: int = 1100, dark: bool = False, script: bool = True) -> None:
        """Open a page in a window of a width, and wait until it is drawn."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self._look = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", media="", features=self._look)
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.send("Page.navigate", url="about:blank")
        self._events.clear()
        self.send("Page.navigate", url=address)
        self.wait(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    def choose(self, fragment: str) -> dict[str, str]:
        """Change the address's fragment, and return the state when that is drawn."""
        change = f"location.hash = {json.dumps(fragment)}"
        heard = "addEventListener('hashchange', resolve, {once: true})"
        self.value(f"new Promise((resolve) => {{ {heard}; {change}; }}).then(() => true)")
        return self.drawn()

    def drawn(self) -> dict[str, str]:
        """Wait until the page is drawn or has failed, and return its state."""
        self.wait("['drawn', 'failed'].includes(document.documentElement.dataset.state)")
        state: dict[str, str] = self.value("({...document.documentElement.dataset})")
        return state

    def wait(self, condition: str) -> None:
        """Wait until an expression holds."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < until, condition
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def console(self) -> list[dict[str, Any]]:
        """Whatever the page, or the browser about it, has complained of or said."""
        return [event["params"] for event in self._events if event.get("method") in _SAID]

    @contextmanager
    def paper(self) -> Iterator[None]:
        """Look at the page as it is printed on A4: the window is as wide as the paper between its margins."""
        self.value("dispatchEvent(new Event('beforeprint'))")
        self.send("Emulation.setEmulatedMedia", media="print", features=self._look)
        self.send(
            "Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False
        )
        yield
        self.value("dispatchEvent(new Event('afterprint'))")

    def pdf(self) -> bytes:
        """Print the page on A4."""
        printed = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(printed["data"])

    def close(self) -> None:
        """End it."""
        self._session = {}
        self.send("Browser.close")
        self._process.wait(PATIENCE_SECONDS)
        os.close(self._requests)
        os.close(self._answers)
