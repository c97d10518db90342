"""A real browser before a real gateway: `hermod up` with its simulator, behind a password."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.contract import process
from tests.contract.process import Gateway

PAGES = ("", "jobs", "batches", "files", "providers", "keys", "webhooks", "playground")
PASSWORD = "correct horse battery staple"
ARTEFACTS = Path(__file__).parents[1] / "artefacts" / "console"
WITHIN_MS = 60_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Visit:
    """A page of a browser that is signed in, and all that went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: said.type in {"error", "warning"} and self.problems.append(said.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def open(self, path: str) -> Page:
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        return self.page

    def picture(self, name: str) -> None:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("console")
    config = folder / "config.json"
    config.write_text(json.dumps({"admin": {"password_hash": PasswordHasher(time_cost=1).hash(PASSWORD)}}))
    started = process.start(folder, config)
    try:
        yield started
    finally:
        status = process.stop(started)
        assert status == 0, started.logged()[-4000:]


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: while it is open its event loop runs in this thread, beside which no other can."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=2 * WITHIN_MS)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser, gateway: Gateway) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=gateway.url, viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(WITHIN_MS)
    expect.set_options(timeout=WITHIN_MS)
    yield opened
    opened.close()


@pytest.fixture
def visit(context: BrowserContext) -> Iterator[Visit]:
    visiting = Visit(context.new_page())
    sign_in(visiting.page)
    yield visiting
    assert visiting.problems == [], "errors, warnings or violations in the browser's console"


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.goto("/console/login")
    page.get_by_label("Password of the administrator").fill(password)
    page.get_by_role("button", name="Sign in").click()
