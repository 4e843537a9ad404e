"""A headless Chromium, driven through its own DevTools protocol over a pipe: no driver, no port, no package.

Debian and Ubuntu have it as `chromium`; `ORCHESTRATOR_TEST_CHROMIUM` names another one.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 60
# DevTools reads from 3 and writes to 4
_ON_3_AND_4 = """import os, sys
reads, writes = (os.dup2(int(fd), 100 + i) for i, fd in enumerate(sys.argv[1:3]))
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str:
    """The path of the browser; "" where there is none."""
    named = os.environ.get("ORCHESTRATOR_TEST_CHROMIUM", "")
    return named or next((path for name in NAMES if (path := shutil.which(name))), "")


class Page:
    """One tab."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._rest, self._n = to, back, b"", 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command, and its result; events that come meanwhile are passed over."""
        self._n += 1
        message: dict[str, object] = {"id": self._n, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._n:
                assert "error" not in answer, f"{method}: {answer}"
                return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._back, 1 << 20)
            assert more, "the browser ended"
            self._rest += more
        one, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(one))

    def wide(self, width: int, height: int, *, phone: bool) -> None:
        """The window's size, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def without_script(self) -> None:
        """Pages run no script from now on; what the test itself asks still works."""
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def dark(self) -> None:
        """As on a device that is set to dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def open(self, url: str) -> None:
        """Goes there, and waits until it is there."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def ask(self, expression: str) -> Any:
        """What an expression comes to, as JSON has it."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until it is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.ask(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def press(self, key: str, text: str = "", code: int = 0) -> None:
        """A key, down and up."""
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def click(self, selector: str) -> None:
        """The mouse, on the middle of what the selector names."""
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)})"
        x, y = self.ask(f"{box}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def named(self) -> list[tuple[str, str]]:
        """(role, name) of everything that a screen reader hears of, in order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def shot(self, path: Path) -> None:
        """The whole page as a PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))


@contextmanager
def browsing(path: str) -> Iterator[Page]:
    """A tab of a browser of its own, with nothing in it from before."""
    theirs, to = os.pipe()
    back, ours = os.pipe()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        flags = ["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--no-sandbox"]
        flags += [
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--no-proxy-server",
        ]
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(theirs), str(ours), path, *flags, f"--user-data-dir={folder}"],
            pass_fds=(theirs, ours),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(ours)
        try:
            yield Page(to, back)
        finally:
            os.close(to)
            os.close(back)
            process.terminate()
            process.wait(30)
