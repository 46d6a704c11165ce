"""Chromium without a screen, driven by its DevTools protocol as a person drives it."""

import base64
import contextlib
import itertools
import json
import pathlib
import urllib.request

from websockets.sync.client import connect

from .program import Program, environment
from .waiting import until


class Browser(Program):
    """One page of one Chromium."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        profile = folder / "profile"
        command = [
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={profile}",
            "about:blank",
        ]  # fmt: skip
        super().__init__(command, folder, "chromium", env=environment(HOME=str(folder)))
        told = profile / "DevToolsActivePort"
        self.wait_until(lambda: told.exists() and told.read_text().count("\n"), "Chromium", 60)
        port = told.read_text().splitlines()[0]

        def pages():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as answer:
                return [page for page in json.load(answer) if page["type"] == "page"]

        url = until(pages, "a page", 60)[0]["webSocketDebuggerUrl"]
        self.closing = contextlib.ExitStack()
        self.socket = self.closing.enter_context(connect(url, max_size=None, proxy=None))
        self.numbers = itertools.count(1)
        self.trouble = []
        self("Runtime.enable")
        self("Log.enable")
        self("Page.enable")

    def __call__(self, method, **parameters):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.trouble.append(message["params"])
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def value(self, script):
        """What a script in the page comes to."""
        result = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def go(self, url, width=1200, height=900, dark=False, phone=False):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        self("Page.navigate", url=url)
        until(lambda: self.value("document.readyState") == "complete", "the page")

    def press(self, key, shift=False):
        codes = {"Tab": 9, "Enter": 13, "ArrowRight": 39, " ": 32}
        for kind in ("keyDown", "keyUp"):
            text = {"text": {"Enter": "\r", " ": " "}.get(key, "")} if kind == "keyDown" else {}
            self(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key],
                modifiers=8 if shift else 0, **text,
            )  # fmt: skip

    def picture(self, file):
        shot = self("Page.captureScreenshot", captureBeyondViewport=True)
        pathlib.Path(file).write_bytes(base64.b64decode(shot["data"]))

    def end(self, *arguments):
        self.closing.close()
        super().end(*arguments)
