"""A headless Chromium told what to do over its debugging pipe: no driver, no port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """One page of a browser with a profile of its own."""

    def __init__(self, profile: Path, *, width: int, height: int) -> None:
        assert PROGRAM is not None
        # Not below a test's own folder: it makes a socket there, whose path may have a hundred characters.
        self._temporary = tempfile.TemporaryDirectory(prefix="atelier-page-")
        there, ours = os.pipe(), os.pipe()
        # The pipe's ends must be 3 and 4 in the child, whatever they are here.
        command = f'exec 3<&{there[0]} 4>&{ours[1]}; exec "$@" 2>/dev/null'
        options = [*_QUIET, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", PROGRAM, *options],
            pass_fds=(there[0], ours[1]),
            stdout=subprocess.DEVNULL,
            # Ended at once, it leaves what it keeps among temporary files.
            env=os.environ | {"TMPDIR": self._temporary.name},
        )
        os.close(there[0])
        os.close(ours[1])
        self._say, self._hear = os.fdopen(there[1], "wb", buffering=0), os.fdopen(ours[0], "rb")
        self._number, self._session = 0, None
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._say.close()
        self._hear.close()
        self._temporary.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What the browser answers to a command of its debugging protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._say.write(json.dumps(message).encode() + b"\0")
        while True:
            said = self._read()
            if said.get("id") == self._number:
                assert "error" not in said, said
                return said["result"]
            self._note(said)

    def open(self, address: str) -> None:
        """Goes to an address."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, *, tries: int = 600, pause_s: float = 0.1) -> Any:
        """The first true value of an expression."""
        for _ in range(tries):
            if value := self.run(script):
                return value
            time.sleep(pause_s)
        raise AssertionError(f"{script} did not come about; the page said {self.errors}")

    def press(self, key: str) -> None:
        """Presses a key of a name such as `Tab`, `Enter`, `ArrowRight` or ` `."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39}[key]
        names = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **names)
        self.call("Input.dispatchKeyEvent", type="keyUp", **names)

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _note(self, said: dict[str, Any]) -> None:
        if said.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(said["params"]["exceptionDetails"])[:500])
        if said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
            self.errors.append(said["params"]["entry"]["text"])

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._hear.read(1)) != b"\0":
            assert byte, "the browser ended"
            data += byte
        return json.loads(data)
