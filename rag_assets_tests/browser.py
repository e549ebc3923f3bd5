"""A real Chromium without a window, told what to do over the WebDriver protocol."""

import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from rag_assets_tests.patience import PATIENCE_SECONDS, until

ENTER, TAB = "\ue007", "\ue004"  # as WebDriver writes these keys


class Browser:
    """One window."""

    def __init__(self, session: requests.Session, url: str) -> None:
        self._session = session
        self._url = url

    def ask(self, method: str, path: str, **body: Any) -> Any:
        answer = self._session.request(
            method, self._url + path, json=body if method == "POST" else None, timeout=PATIENCE_SECONDS
        ).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{answer['error']}: {answer['message']}")
        return answer

    def go(self, url: str) -> None:
        self.ask("POST", "/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; `return ...`."""
        return self.ask("POST", "/execute/sync", script=script, args=list(arguments))

    def press(self, *keys: str) -> None:
        """Keys one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def until(self, script: str, *arguments: Any) -> Any:
        """What a script returns, once that is true."""
        found: list[Any] = []

        def look() -> bool:
            found[:] = [self.run(script, *arguments)]
            return bool(found[0])

        until(look)
        return found[0]

    def set(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """The size of the page in pixels, and what the person likes."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._command("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._command("Emulation.setEmulatedMedia", {"features": scheme})

    def log(self) -> list[str]:
        """What the console has said since the last look: errors of scripts, what a policy kept out."""
        return [str(entry["message"]) for entry in self.ask("POST", "/se/log", type="browser")]

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        return self.ask("POST", "/goog/cdp/execute", cmd=name, params=parameters)


@contextmanager
def opened() -> Iterator[Browser]:
    """Skips where there is no Chromium with its driver."""
    driver = shutil.which("chromedriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if driver is None or chromium is None:
        pytest.skip("there is no Chromium with chromedriver on PATH")
    with tempfile.TemporaryDirectory(prefix="rag-assets-browser-") as place, requests.Session() as session:
        session.trust_env = False
        log = Path(place, "driver.log")
        with log.open("w") as output:
            process = subprocess.Popen([driver, "--port=0"], stdout=output, stderr=output, cwd=place)
        try:
            url = f"http://127.0.0.1:{_port(log, process)}/session"
            options = {
                "binary": chromium,
                "args": [
                    "--headless=new",
                    "--no-sandbox",  # root runs the tests, and pages are ours
                    "--disable-dev-shm-usage",
                    "--no-proxy-server",
                    "--lang=en",
                    f"--user-data-dir={place}/profile",
                ],
            }
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            asked = {"capabilities": {"alwaysMatch": wanted}}
            begun = session.post(url, json=asked, timeout=PATIENCE_SECONDS).json()["value"]
            assert "sessionId" in begun, begun
            browser = Browser(session, f"{url}/{begun['sessionId']}")
            try:
                yield browser
            finally:
                browser.ask("DELETE", "")
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    found: list[str] = []

    def look() -> bool:
        assert process.poll() is None, log.read_text()
        found[:] = re.findall(r"successfully on port (\d+)", log.read_text())
        return bool(found)

    until(look)
    return int(found[0])
