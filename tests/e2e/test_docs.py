"""The documentation in a real browser: it shows every operation, and an operation can be tried with a key."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Locator, Page, Route, async_playwright, expect

from service.settings import Settings
from service.verification.commands import Recorder
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_REQUIRED = bool(os.environ.get("ONRECORD_TEST_REQUIRE_BROWSER"))
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_OPENAPI = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())
SHOWN = sum(len(item) for part in ("paths", "webhooks") for item in _OPENAPI[part].values())
"""Operations, and webhooks, which the page shows likewise."""
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not _REQUIRED, reason="no Chromium is installed (Debian: apt-get install chromium)"
)


class Visit:
    """A page of the documentation, and what it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []


@pytest.fixture
async def docs(api: httpx2.AsyncClient, tmp_path: Path) -> AsyncIterator[Visit]:
    """The documentation in a browser that can reach nothing but the service."""
    here = str(api.base_url).rstrip("/")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch_persistent_context(
            tmp_path / "browser", executable_path=CHROMIUM, args=list(_QUIET), headless=True
        )
        page = await browser.new_page()
        visit = Visit(page)

        async def only_here(route: Route) -> None:
            if route.request.url.startswith((here, "data:")):
                await route.continue_()
            else:
                visit.elsewhere.append(route.request.url)
                await route.abort()

        await page.route("**/*", only_here)
        page.on("console", lambda said: visit.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        await page.goto(f"{here}/docs")
        yield visit
        await browser.close()


@pytest.mark.timeout(180)
async def test_an_operation_is_tried_with_a_key(
    docs: Visit, api: httpx2.AsyncClient, settings: Settings, loaded: Recorder
) -> None:
    """Every operation is there, a claim of the sample story is read by one click, and nothing comes from elsewhere."""
    page, claim = docs.page, page_of(docs, "getClaim")
    await expect(page.locator(".opblock")).to_have_count(SHOWN, timeout=60_000)
    await page.get_by_role("button", name=re.compile("Authorize")).first.click()
    key = settings.bootstrap_key_path.read_text().strip()
    await page.locator(".auth-container input").first.fill(key)
    await page.locator(".auth-container button[type=submit]").first.click()
    await page.locator(".btn-done").first.click()
    await claim.locator(".opblock-summary-control").click()
    await claim.get_by_role("button", name="Execute").click()
    answer = claim.locator(".live-responses-table")
    await expect(answer.locator(".response-col_status").last).to_contain_text("200", timeout=30_000)
    await expect(answer).to_contain_text("The Il-76 came down near Yablonovo in Belgorod region.")
    assert not docs.elsewhere
    assert not docs.complaints


def page_of(docs: Visit, operation: str) -> Locator:
    """Return the part of the page that is about an operation."""
    return docs.page.locator(f"[id$='-{operation}']")
