# SPDX-License-Identifier: GPL-2.0-or-later
"""The static site in headless Chromium: `make check-html`. From file://, as a reader
would open it."""
import os
from pathlib import Path
from typing import Any, Iterator

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .conftest import wait_for
from .test_site import CLAUSE, make

# What is wider than the window, or has too little contrast to its background.
WIDTH = "return document.documentElement.scrollWidth - innerWidth"
CONTRAST = """
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
function light([r, g, b]) {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map(
        (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function behind(e) {
    for (; e; e = e.parentElement) {
        const c = parse(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0)
            return c;
    }
    return [255, 255, 255];
}
const bad = [];
for (const e of document.querySelectorAll("td, th, a, p, dt, dd, pre, span, summary")) {
    if (!e.textContent.trim() || !e.offsetParent)
        continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5)
        bad.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
}
return [...new Set(bad)];
"""


class Browser:
    """Headless Chromium, and the site that it looks at."""

    def __init__(self, driver: Any, folder: Path):
        self.driver, self.folder = driver, folder

    def open(self, path: str = "index.html") -> None:
        """Open a page of the site anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.folder.as_uri()}/{path}")

    def one(self, selector: str) -> Any:
        """The element that a selector names."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def script(self, text: str) -> Any:
        """What a script returns."""
        return self.driver.execute_script(text)

    def choose(self, name: str, value: str) -> None:
        """Choose in one of the filters."""
        options = self.driver.find_elements(By.CSS_SELECTOR, f"#{name} option")
        next(o for o in options if o.get_attribute("value") == value).click()

    def rows(self) -> dict[str, list[str]]:
        """The rows that are seen: texts of their cells by clause."""
        return dict(
            self.script(
                """
                return [...document.querySelectorAll("tr[data-row]")]
                    .filter((row) => row.offsetParent)
                    .map((row) => [row.querySelector(".id").textContent,
                        [...row.querySelectorAll("td")].map((c) => c.textContent)]);
                """
            )
        )

    def emulate(
        self, width: int = 1200, scheme: str = "light", media: str = ""
    ) -> None:
        """Another window, colour scheme or medium."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": [feature]}
        )

    def paths(self) -> list[str]:
        """A page of every kind."""
        kernels = sorted((self.folder / "kernels").iterdir())
        one = [str(path.relative_to(self.folder)) for path in kernels[1:3]]
        return ["index.html", "drift.html", "cases/io_setup.einval_nr_zero.html", *one]


def started_chromium(options: webdriver.ChromeOptions) -> Any:
    """The browser. On a machine that is very busy its first start may take longer than
    its driver waits: then a second one finds its files read."""
    for last in (False, True):
        service = webdriver.chrome.service.Service("/usr/bin/chromedriver")
        try:
            return webdriver.Chrome(options=options, service=service)
        except WebDriverException:
            if last:
                raise
    return None


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    home = tmp_path_factory.mktemp("chromium")
    for word in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={home}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = started_chromium(options)
    try:
        yield Browser(driver, make(tmp_path_factory.mktemp("site")))
    finally:
        driver.quit()


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    """The browser on the first page; at the end it has nothing to complain of."""
    started.emulate()
    started.open()
    started.driver.get_log("browser")
    yield started
    assert started.driver.get_log("browser") == []


def test_filters(browser: Browser) -> None:
    """Each filter shows what it names, and they can be taken back."""
    everything = browser.rows()
    assert everything[CLAUSE] == ["✓", "✗", "✓", "◇"]
    assert f"{len(everything)} of {len(everything)}" in browser.one("#shown").text

    browser.choose("outcome", "fail")
    assert list(browser.rows()) == [CLAUSE]
    browser.choose("outcome", "flaky")
    assert list(browser.rows()) == ["ring.odd"]
    browser.choose("outcome", "changed")
    assert list(browser.rows()) == [CLAUSE]
    browser.choose("device", "ext4")  # the failure is on the other device
    assert browser.rows() == {}
    browser.choose("outcome", "")
    assert browser.rows() == {CLAUSE: ["✓", "✓", "✓", "✓"]}
    browser.choose("device", "")
    browser.choose("flavour", "libaio")
    assert browser.rows() == {CLAUSE: ["✓", "✓", "✓", "✓"]}
    browser.one("button[type=reset]").click()
    wait_for(lambda: browser.rows() == everything)

    browser.choose("interface", "ring")
    assert all(name.startswith("ring.") for name in browser.rows())
    browser.choose("outcome", "none")
    assert "ring.odd" not in browser.rows()


def test_text_and_keyboard(browser: Browser) -> None:
    """`/` leads to the text filter; rows open by the keyboard; the first stop of all
    leads past the head."""
    body = browser.one("body")
    body.send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "To the content"
    body.send_keys("/")
    focus = browser.driver.switch_to.active_element
    focus.send_keys("no events EINVAL_nr_zero")  # promise and case, in any order
    assert focus.get_attribute("id") == "text"
    focus.clear()
    focus.send_keys("nr_zero")
    assert CLAUSE in browser.rows()
    assert all("zero" in name for name in browser.rows())
    row = browser.one("tr[data-row]:not([hidden]) summary")
    row.send_keys(Keys.ENTER)
    link = browser.one("tr[data-row]:not([hidden]) details[open] a")
    link.send_keys(Keys.ENTER)
    wait_for(lambda: "einval_nr_zero" in browser.driver.title)


def test_address_keeps_filters(browser: Browser) -> None:
    """What was chosen is in the address, and is there again when it is opened."""
    browser.choose("interface", "ring")
    browser.choose("outcome", "flaky")
    address = browser.driver.current_url.partition("#")[2]
    browser.open(f"index.html#{address}")
    assert list(browser.rows()) == ["ring.odd"]
    browser.open("index.html#interface=%3Cscript%3E&outcome=nothing")
    assert len(browser.rows()) > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(browser: Browser, scheme: str) -> None:
    """Nothing is wider than 400 pixels, has too little contrast, or runs as script."""
    browser.emulate(400, scheme)
    for path in browser.paths():
        browser.open(path)
        browser.script(
            "for (const e of document.querySelectorAll('details')) e.open = 1"
        )
        assert browser.script(WIDTH) <= 0, path
        assert browser.script(CONTRAST) == [], path
        assert browser.driver.title != "owned"
        assert browser.script("return document.querySelectorAll('.evil').length") == 0
    dark = browser.script("return getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(255, 255, 255)") == (scheme == "light")


def test_print(browser: Browser) -> None:
    """On paper there are no filters, and the table is not cut off by a frame."""
    browser.emulate(media="print", scheme="dark")
    assert not browser.one("#filters").is_displayed()
    assert not browser.one("header").is_displayed()
    frame = "return getComputedStyle(document.querySelector('.scroll')).overflowX"
    assert browser.script(frame) == "visible"
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert browser.script(ground) == "rgb(255, 255, 255)"


def test_without_script(browser: Browser) -> None:
    """The cells that the page brings are those that the script makes."""
    page = (browser.folder / "index.html").read_text()
    (browser.folder / "plain.html").write_text(
        page.replace('<script src="filter.js"></script>', "")
    )
    scripted = browser.rows()
    browser.open("plain.html")
    assert not browser.one("#filters").is_displayed()
    assert browser.rows() == scripted
