"""The report, as a person sees it: in a browser, narrow and wide, without a network."""

import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from agentflow.audit.report.html import html_of, rendered
from agentflow.audit.report.told import of_bundle
from tests.audit.places import Desk, recorded

NARROW, WIDE = 360, 1280
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: one of {', '.join(BROWSERS)}")
    async with async_playwright() as playwright:
        # Root has no sandbox of Chromium's.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = await playwright.chromium.launch(executable_path=found, args=arguments)
        yield opened
        await opened.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page()
    yield opened
    await opened.close()


async def show(page: Page, place: Path, html: str, width: int = WIDE) -> list[str]:
    """Open the page, and answer what it asked the network for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    file = place / "report.html"
    file.write_text(html, "utf-8")
    await page.set_viewport_size({"width": width, "height": 900})
    await page.goto(file.as_uri())
    return [url for url in asked if url != file.as_uri()]


async def report(desk: Desk, number: int = 0, **more: Any) -> str:
    return html_of((await of_bundle(desk.home / "bundle", more.get("keys", desk.keys)))[number])


@pytest.mark.parametrize("width", [NARROW, WIDE])
async def test_the_page_fits_its_window_and_asks_nobody(
    desk: Desk, tmp_path: Path, page: Page, width: int
) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    assert await show(page, tmp_path, await report(desk), width) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert problems == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
async def test_each_step_can_be_seen_in_the_picture(
    desk: Desk, tmp_path: Path, page: Page, width: int
) -> None:
    await show(page, tmp_path, await report(desk), width)
    boxes = [await bar.bounding_box() for bar in await page.locator(".step rect").all()]
    assert len(boxes) == 9
    assert all(box and box["width"] >= 0.5 and 0 <= box["x"] <= width for box in boxes)


@pytest.mark.parametrize("width", [NARROW, WIDE])
async def test_it_says_what_was_asked_decided_and_paid(
    desk: Desk, tmp_path: Path, page: Page, width: int
) -> None:
    await show(page, tmp_path, await report(desk), width)
    text = await page.inner_text("main")
    for words in (
        "rita asked for this run",
        "People who allowed what it did: ann, bob.",
        "The agent did what it was asked and answered.",
        "Pay an amount to an account: account alice, amount 2000.00",
        "stated, not verified",
        "large payments need a person; huge payments need two people",
        "$0.000135",
        "agentflow audit verify",
    ):
        assert words in text, words


async def test_what_was_said_is_folded_away_until_somebody_looks(
    desk: Desk, tmp_path: Path, page: Page
) -> None:
    await show(page, tmp_path, await report(desk))
    said = page.locator("details").first
    assert not await said.locator("pre").first.is_visible()
    await said.locator("summary").click()
    assert await said.locator("pre").first.is_visible()


async def test_without_its_key_the_page_says_so_and_has_the_decisions(
    desk: Desk, tmp_path: Path, page: Page
) -> None:
    await show(page, tmp_path, await report(desk, keys=None))
    text = await page.inner_text("main")
    assert "What was said in this run can't be read" in text
    assert "large, huge" in text
    assert "alice" not in text


async def test_what_is_missing_is_said_in_words(desk: Desk, tmp_path: Path, page: Page) -> None:
    await desk.export(tmp_path / "b", [recorded("continued")], agents=())
    (run,) = await of_bundle(tmp_path / "b", desk.keys)
    await show(page, tmp_path, html_of(run))
    text = await page.inner_text("#gaps")
    assert "The server no longer keeps a part of the run's history." in text
    assert "The run's own code was not at hand" in text


async def test_what_somebody_wrote_is_text_and_nothing_else(desk: Desk, tmp_path: Path, page: Page) -> None:
    history = recorded("told-of-approvals")
    evil = "<img src=x onerror=alert(1)><script>document.title='owned'</script>\u202egnp.exe\u3164"
    signal = next(e for e in history.events if e.HasField("workflow_execution_started_event_attributes"))
    task = signal.workflow_execution_started_event_attributes.input.payloads[0]
    task.data = task.data.replace(b'"hello"', f'"{evil}"'.encode()).replace(b'"rita"', b'"<b>rita</b>"')
    await desk.export(tmp_path / "b", [history], agents=())
    (run,) = await of_bundle(tmp_path / "b", desk.keys)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    assert await show(page, tmp_path, html_of(run)) == []
    assert dialogs == []
    assert await page.title() != "owned"
    assert "<b>rita</b> asked for this run" in await page.inner_text("main")
    assert not set("\u202e\u3164") & set(await page.content())


async def test_the_page_can_be_read_by_who_does_not_see_it(desk: Desk, tmp_path: Path, page: Page) -> None:
    await show(page, tmp_path, await report(desk))
    assert await page.get_by_role("heading", level=1).count() == 1
    assert await page.get_by_role("list").get_by_role("listitem").count() == 9
    assert await page.locator(".step svg title").first.text_content()
    assert await page.evaluate("document.documentElement.lang") == "en"


async def test_a_run_of_a_thousand_steps_makes_a_page(desk: Desk, tmp_path: Path, page: Page) -> None:
    (run,) = [each for each in await of_bundle(desk.home / "bundle", desk.keys, None)][:1]
    many = type(run)(run.workflow_id, run.workflow_type, [*run.findings] * 40, proof=run.proof)
    await show(page, tmp_path, html_of(many), NARROW)
    assert await page.evaluate("document.documentElement.scrollWidth") == NARROW


def test_what_can_not_be_seen_is_written_out_on_every_page() -> None:
    manifest = SimpleNamespace(created_at=datetime(2026, 11, 22, tzinfo=UTC), export="e\u2028")
    page = rendered("index.html.j2", title="9\u316400 <b>", rows=[], manifest=manifest, gaps={})
    assert "9\\u316400 &lt;b&gt;" in page
    assert not set("\u3164\u2028") & set(page)
