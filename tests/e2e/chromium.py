"""A real browser that is told of no network but this machine's, and that writes down all that a good page does not do.

Debian's Chromium, driven by Playwright; Playwright's own browsers are not downloaded. Without a browser the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, Response, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHOSEN = os.environ.get("TURNPIKE_CHROMIUM")
"""Read at import: tests see nothing of Turnpike's own variables."""

ARGUMENTS = (
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host is to be had, by name or number, for whatever reason
)
WIDE, NARROW = (1100, 800), (360, 740)
WAIT_MS = 30_000  # for what a page does by itself; on a busy machine
LEFT_BY_THE_PAGE = "net::ERR_ABORTED"  # a request that ended because the page was left, or a download that began


class Visit:
    """One tab and what went wrong in it, or in tabs that it opened. `requests` are the addresses that were asked for."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base = base.rstrip("/")
        self.problems: list[str] = []
        self.requests: list[str] = []
        context.on("page", self.watch)
        self.page: Page = context.new_page()

    def watch(self, page: Page) -> None:
        """Also of tabs that a page opens."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.note(f"script error: {error}"))
        page.on("crash", lambda _: self.note("the tab crashed"))
        page.on("dialog", self._dialog)
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def note(self, problem: str) -> None:
        self.problems.append(f"{problem[:500]} (on {self.page.url[:300]})")

    def _console(self, told: ConsoleMessage) -> None:
        if told.type in ("error", "warning"):
            self.note(f"console {told.type}: {told.text}")

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400:
            self.note(f"status {answer.status}: {answer.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self.note(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _failed(self, request: Request) -> None:
        if request.failure != LEFT_BY_THE_PAGE:
            self.note(f"request failed, {request.failure}: {request.url}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.base}/", "data:")):
            self.note(f"outside request: {request.url}")

    def open(self, path: str, status: int = 200) -> Page:
        """A page of the server by its path, its scripts having run. Raises AssertionError for another status."""
        answer = self.page.goto(self.base + path, wait_until="load")
        assert answer is not None and answer.status == status, f"{path[:300]}: {answer and answer.status}"
        if status != 200:
            self.problems[:] = [
                problem for problem in self.problems if f"status of {status}" not in problem and f"status {status}:" not in problem
            ]
        return self.page

    def settled(self) -> list[str]:
        """The problems until now, each told once."""
        found = list(self.problems)
        self.problems.clear()
        return found


def find_chromium() -> str | None:
    """The browser to drive: `TURNPIKE_CHROMIUM`, or else the first on PATH."""
    return next((found for name in ((CHOSEN,) if CHOSEN else NAMES) if (found := shutil.which(name))), None)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser. Skips the test where there is none.

    Playwright's synchronous API has an event loop running in this thread until it ends, so that it must end before the next
    module's tests, which may have loops of their own.
    """
    path = find_chromium()
    if path is None:
        pytest.skip(f"no browser: {CHOSEN or ', '.join(NAMES)} not found (apt-get install chromium, or set TURNPIKE_CHROMIUM)")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, base: str, *, size: tuple[int, int] = WIDE, dark: bool = False) -> Iterator[Visit]:
    """A fresh profile, `size` in CSS pixels. Raises AssertionError at the end for any problem that was not looked at."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", locale="en-US")
    context.set_default_timeout(WAIT_MS)
    try:
        visit = Visit(context, base)
        yield visit
        assert visit.settled() == []
    finally:
        context.close()
