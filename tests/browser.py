"""Fixtures of a real browser: headless Chromium, driven by Playwright."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    installed = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = installed or (own if Path(own).exists() else None)
        if path is None:
            pytest.skip("there is no Chromium: `apt-get install chromium` or `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """``page = visit(folder, "index.html", …)``: a page that asks for its own files only and says nothing."""
    contexts, said = [], []

    def open_page(folder, name, **options):
        context = chromium.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        root = folder.parent.as_uri()
        page.on("request", lambda asked: asked.url.startswith(root) or said.append(f"asked for {asked.url}"))
        page.goto((folder / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said
