"""Headless Chromium, driven through chromedriver's HTTP interface (W3C WebDriver): as much of it as the tests need."""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from harness import wait_for

CHROMEDRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the standard gives a reference to an element

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]


class Browser:
    def __init__(self, dark=False, width=1200, height=900):
        self.directory = tempfile.mkdtemp(prefix="browser-")
        self.driver = subprocess.Popen([CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       text=True, env={**os.environ, "HOME": self.directory})
        try:
            self.base = f"http://127.0.0.1:{self.port()}/session"
            arguments = [*ARGUMENTS, f"--user-data-dir={self.directory}/profile"]
            if dark:
                arguments.append("--blink-settings=preferredColorScheme=0")
            made = self.call("POST", "", capabilities={"alwaysMatch": {
                "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}})
            self.base += "/" + made["sessionId"]
            # Not the window's size, which has a least one: a phone is emulated.
            self.call("POST", "/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride",
                      params={"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        except BaseException:
            self.close()
            raise

    def port(self):
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return int(found.group(1))
        raise AssertionError("chromedriver did not start")

    def close(self):
        try:
            if "/session/" in getattr(self, "base", ""):
                self.call("DELETE", "")
        finally:
            self.driver.kill()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    def call(self, method, path, **body):
        request = urllib.request.Request(self.base + path, method=method, headers={"Content-Type": "application/json"},
                                         data=json.dumps(body).encode() if method == "POST" else None)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:500]}") from None

    def open(self, url):
        self.call("POST", "/url", url=url)

    def run(self, script, *arguments):
        """The value of a JavaScript function body."""
        return self.call("POST", "/execute/sync", script=script, args=list(arguments))

    def text(self, selector="body"):
        return self.run("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector)

    def wait_for_text(self, selector, wanted):
        wait_for(f"'{wanted}' in {selector}", lambda: wanted in self.text(selector) or None)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def click(self, selector):
        found = self.call("POST", "/element", using="css selector", value=selector)
        self.call("POST", f"/element/{found[ELEMENT]}/click")

    def question(self):
        """What the page asks; answered with yes."""
        text = self.call("GET", "/alert/text")
        self.call("POST", "/alert/accept")
        return text

    def complaints(self):
        """What the browser's console has: errors of scripts, refusals by the page's policy, failed requests."""
        return [entry["message"] for entry in self.call("POST", "/se/log", type="browser")]

    def screenshot(self, file):
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return window.innerWidth")
        shot = self.call("POST", "/goog/cdp/execute", cmd="Page.captureScreenshot",
                         params={"captureBeyondViewport": True,
                                 "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))
