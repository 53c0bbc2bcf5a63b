"""A page in headless Chromium, driven over its debugging pipe: the browser's own protocol, JSON with a zero byte after each message."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_KEYS = {"ArrowDown": 40, "ArrowUp": 38, "Enter": 13, "Escape": 27, "/": 191, "Tab": 9}
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One tab."""

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out, self._buffer, self._last, self._session = into, out, b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, url: str, *, width: int, height: int, dark: bool = False) -> None:
        """Goes to a page, as wide as said, and waits until it is loaded."""
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        # Another document each time: a change of the hash alone loads nothing.
        self._go("about:blank")
        self.events.clear()
        self._go(url)

    def _go(self, url: str) -> None:
        loaded = self._count("Page.loadEventFired")
        self._send("Page.navigate", url=url)
        while self._count("Page.loadEventFired") == loaded:
            self._take()

    def ask(self, script: str) -> Any:
        """The value of an expression."""
        found = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def type(self, text: str) -> None:
        self._send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        text = {"Enter": "\r", "/": "/"}.get(key)
        said = {"key": key, "windowsVirtualKeyCode": _KEYS[key]} | ({"text": text} if text else {})
        self._send("Input.dispatchKeyEvent", type="keyDown", **said)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=_KEYS[key])
        self.ask("new Promise(done => setTimeout(done))")

    def picture(self, path: Path) -> None:
        import base64

        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Errors of the page's script and policy, and addresses other than files that it asked for."""
        asked = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        wrong = [event for event in self.events if event.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}]
        return [url for url in asked if not url.startswith(("file:", "about:"))] + [
            json.dumps(event["params"]) for event in wrong
        ]

    def _count(self, method: str) -> int:
        return sum(event.get("method") == method for event in self.events)

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": params} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while True:
            found = self._take()
            if found.get("id") == number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result

    def _take(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._out, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if "method" in found:
            self.events.append(found)
        return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own, with a profile that is thrown away."""
    assert CHROMIUM is not None
    there, into = os.pipe()
    out, back = os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads commands from 3 and writes to 4; a shell puts the pipes there.
        command = f'exec "$0" "$@" 3<&{there} 4>&{back}'
        process = subprocess.Popen(
            ["/bin/bash", "-c", command, CHROMIUM, *_QUIET, f"--user-data-dir={profile}"],
            pass_fds=(there, back), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there)
        os.close(back)
        try:
            yield Browser(into, out)
        finally:
            os.close(into)
            os.close(out)
            process.terminate()
            process.wait(20)
