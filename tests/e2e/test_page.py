"""GET /: the operators' page, in a real browser before a running daemon. TWINSPOOL_SCREENSHOTS=DIR keeps what it looked like."""

import os
import socket
import threading
import unittest
import urllib.request

from browser import CHROMEDRIVER, CHROMIUM, Browser
from harness import EndToEnd, call, wait_for

SCREENSHOTS = os.environ.get("TWINSPOOL_SCREENSHOTS")
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"


class Tunnel:
    """What `ssh -L 8080:/run/twinspool/admin.sock gateway` is to a browser: a TCP port whose bytes go to the socket."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.path)
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()


@unittest.skipUnless(CHROMEDRIVER and CHROMIUM, "SKIPPED: there is no chromium with chromedriver")
class Page(EndToEnd):
    def browser(self, **look):
        browser = Browser(**look)
        self.addCleanup(browser.close)
        return browser

    def through_a_tunnel(self):
        tunnel = Tunnel(self.daemon.admin)
        self.addCleanup(tunnel.close)
        return f"http://localhost:{tunnel.port}/"

    def by_tcp(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.daemon.config["admin"]["http"] = address
        return f"http://{address}/"

    def something_of_everything(self):
        """Delivered, held and quarantined messages."""
        self.daemon.send("pump", message_id="delivered-1")
        self.daemon.wait_until_drained()
        self.cloud.faults("400")
        self.daemon.send("valve", b'{"text": "' + HOSTILE.replace('"', "'").encode() + b'"}', message_id="refused-1")
        self.daemon.wait_for_status("a quarantined message", lambda s: s["totals"]["quarantined"] == 1)
        self.cloud.missing("boiler")
        self.daemon.send("boiler", message_id="held-1")
        self.daemon.wait_for_status("a held twin", lambda s: s["lanes"]["held"] == 1)

    def keep(self, browser, name):
        if SCREENSHOTS:
            os.makedirs(SCREENSHOTS, exist_ok=True)
            browser.screenshot(os.path.join(SCREENSHOTS, name + ".png"))

    def test_through_a_tunnel_to_the_socket_it_shows_everything_and_retries(self):
        self.daemon.start()
        self.something_of_everything()
        browser = self.browser()
        browser.open(self.through_a_tunnel())
        browser.wait_for_text("#state", "waiting")
        browser.wait_for_text("#figures", "of 3 accepted")
        browser.wait_for_text("#lanes", "boiler")
        self.assertIn("1 held, 0 retrying", browser.text("#lanes-summary"))
        browser.wait_for_text("#quarantine", "valve")
        self.assertIn("1 message:", browser.text("#quarantine-summary"))
        self.assertIn("400", browser.text("#quarantine"))
        browser.click("#quarantine summary")
        browser.wait_for_text("#quarantine pre", "<img src=x")  # as text
        self.assertIn("refused-1", browser.text("#quarantine pre"))
        wait_for("a line in each chart", lambda: browser.count("#depth polyline[points*=' ']") and
                 browser.count("#rates polyline.first") and browser.count("#age polyline"))
        self.keep(browser, "socket-light")

        browser.click("#quarantine button")
        browser.wait_for_text("#quarantine-summary", "Empty.")
        self.assertEqual(browser.count("#quarantine table"), 0)
        self.assertEqual(browser.text("#retried"), "1 message put back into the queue.")
        wait_for("the retried message", lambda: [r for r in self.cloud.records() if r["message_id"] == "refused-1"])
        self.assertNotEqual(browser.run("return document.title"), "hacked")
        self.assertEqual(browser.complaints(), [])

    def test_all_of_the_quarantine_goes_back_after_a_question_and_it_says_what_did_not(self):
        self.daemon.config["store"]["max_messages"] = 3
        self.daemon.start()
        self.cloud.faults("400,400,400")
        for n in range(3):
            self.daemon.send(f"valve-{n}", message_id=f"refused-{n}")
            self.daemon.wait_for_status("a quarantined message", lambda s, n=n: s["totals"]["quarantined"] == n + 1)
        call(self.daemon.admin, "POST", "/pause")
        self.daemon.send("pump", message_id="waits-1")
        browser = self.browser()
        browser.open(self.through_a_tunnel())
        browser.wait_for_text("#state", "paused")
        browser.wait_for_text("#quarantine-summary", "3 messages:")
        browser.click("#quarantine > button")
        self.assertEqual(browser.question(), "Send all 3 messages again?")
        browser.wait_for_text("#retried", "2 messages put back into the queue; stopped early: ")
        browser.wait_for_text("#quarantine-summary", "1 message:")
        self.assertEqual(browser.count("#quarantine tbody tr"), 1)
        self.assertEqual(browser.complaints(), [])

    def test_what_cannot_be_read_does_not_hide_the_rest(self):
        self.daemon.start()
        self.daemon.send("pump", message_id="delivered-1")
        browser = self.browser()
        browser.call("POST", "/goog/cdp/execute", cmd="Network.enable", params={})
        browser.call("POST", "/goog/cdp/execute", cmd="Network.setBlockedURLs", params={"urls": ["*/lanes*", "*/history*"]})
        browser.open(self.through_a_tunnel())
        browser.wait_for_text("#lanes-summary", "Not read: ")
        browser.wait_for_text("#depth", "Not read: ")
        browser.wait_for_text("#figures", "of 1 accepted")
        browser.wait_for_text("#quarantine-summary", "Empty.")
        self.assertTrue(browser.run("return document.getElementById('lost').hidden"))

    def test_admin_http_shows_it_for_reading(self):
        url = self.by_tcp()
        self.daemon.start()
        self.something_of_everything()
        browser = self.browser(dark=True)
        browser.open(url)
        browser.wait_for_text("#quarantine", "valve")
        browser.wait_for_text("#about", "read-only here")
        self.assertEqual(browser.count("button"), 0)
        self.keep(browser, "tcp-dark")
        self.assertEqual(browser.complaints(), [])

    def test_a_phone_needs_no_scrolling_sideways(self):
        url = self.by_tcp()
        self.daemon.start()
        self.something_of_everything()
        self.daemon.send("a-twin-with-a-name-that-is-longer-than-a-phone-is-wide-" + "x" * 60, message_id="long-1")
        for dark in (False, True):
            browser = self.browser(dark=dark, width=360, height=740)
            browser.open(url)
            browser.wait_for_text("#quarantine", "valve")
            browser.wait_for_text("#lanes", "boiler")
            self.assertEqual(browser.run("return [document.documentElement.scrollWidth, window.innerWidth]"), [360, 360])
            back = browser.run("return getComputedStyle(document.body).backgroundColor")
            self.assertEqual(back, "rgb(20, 23, 27)" if dark else "rgb(246, 247, 249)")
            self.keep(browser, "phone-" + ("dark" if dark else "light"))

    def test_it_says_when_the_daemon_is_gone_and_goes_on_when_it_is_back(self):
        self.daemon.start()
        self.daemon.send("pump", message_id="before-1")
        browser = self.browser()
        browser.open(self.through_a_tunnel())
        browser.wait_for_text("#figures", "of 1 accepted")
        self.daemon.kill()
        browser.wait_for_text("#lost", "No answer from twinspoold")
        drawn = browser.run("return lastHour.rows.length")
        self.daemon.start()
        self.daemon.send("pump", message_id="after-1")
        browser.wait_for_text("#figures", "of 2 accepted")
        wait_for("the alarm to go", lambda: browser.run("return document.getElementById('lost').hidden"))
        wait_for("the curves to go on", lambda: browser.run("return lastHour.rows.length") > drawn)

    def test_a_page_of_another_site_gets_nothing(self):
        url = self.by_tcp()
        self.daemon.start()
        browser = self.browser()
        browser.open("data:text/html,<title>other</title>")
        refused = browser.run("""
            return fetch(arguments[0] + 'status').then(() => 'read', () => 'refused')""", url)
        self.assertEqual(refused, "refused")
        self.assertEqual(call(self.daemon.admin, "GET", "/", headers={"Host": "evil.example"}).status, 403)
        self.assertEqual(call(self.daemon.admin, "GET", "/history?after=x").status, 400)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as page:
            self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])
