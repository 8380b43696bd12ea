"""A real browser for tests of pages: a Chromium that is there already, driven by Playwright.

Tests that use the fixtures below carry ``@pytest.mark.browser``. AUDIOCHAT_CHROMIUM names the
program; without it, a Chromium or Chrome on the PATH is taken. Where there is none, the tests are
skipped, with this reason.
"""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "AUDIOCHAT_CHROMIUM names no Chromium, and none is on the PATH"
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),  # it stays at home
    *("--disable-sync", "--disable-quic"),
]


def find_chromium() -> str | None:
    """The program to use, or None.

    Raises:
        FileNotFoundError: If AUDIOCHAT_CHROMIUM names something else than a program.
    """
    named = os.environ.get("AUDIOCHAT_CHROMIUM", "")
    if named and shutil.which(named) is None:
        raise FileNotFoundError(
            f"AUDIOCHAT_CHROMIUM must be the path of Chromium, but is {named!r}; unset it to skip "
            "the tests of pages."
        )
    return named or next(filter(None, map(shutil.which, NAMES)), None)


# Of a module, not of the session: while Playwright runs, a thread's event loop counts as running,
# and other tests of the same process could not call asyncio.run.
@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """A running Chromium without a window."""
    program = find_chromium()
    if program is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture
def browser(chromium: "Browser") -> "Iterator[BrowserContext]":
    """A fresh profile: cookies, storage and downloads of one test. ``browser.new_page()``."""
    context = chromium.new_context(accept_downloads=True, viewport={"width": 1100, "height": 900})
    context.set_default_timeout(20_000)
    yield context
    context.close()
