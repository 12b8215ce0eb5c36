"""The page that report.py writes, and in a real Chromium: it fits, sorts, asks nobody for
anything, and can be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dr_ovo.commands.reports.report import main
from dr_ovo.document.document import Column, Report, Section, Table
from dr_ovo.document.page import page
from dr_ovo.grading.reading import Reading, unreadable
from dr_ovo.grading.row_files import Row
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.sheet import sheet
from dr_ovo.grading.workload import own_test
from dr_ovo.photographs.damage import Damage
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.synthetic.simulated_predictions import ACCURACIES
from tests.conftest import drawn_eye
from tests.document.tags import Reader
from tests.fixtures.commands import reports_in_a_thread
from tests.fixtures.slow import slow

ROOT = Path(__file__).resolve().parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
EVIL = '<img src="http://example.invalid/x" onerror="console.error(1)"><script>x()</script>'
LONG = "a_model_whose_name_has_no_end_and_no_place_to_fold_it" * 3
ROWS = [
    [LONG, {"value": 0.095, "low": 0.09, "high": 0.1}, "b10"],
    [EVIL, {"value": None, "reason": EVIL}, "b9"],
    ["c", {"value": 0.5, "low": None, "high": None}, ""],
    ["d", {"value": 0.0005, "low": 0.0, "high": 0.01}, None],
]
# Text and its ground as the eye gets them: WCAG's contrast of every element that holds text.
CONTRASTS = """
const light = (c) => { const v = c.map((x) => x / 255)
  .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
const parts = (text) => text.match(/[0-9.]+/g).map(Number);
const ground = (e) => { for (; e; e = e.parentElement) {
  const c = parts(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
  return null; };
const found = [];
for (const e of document.body.querySelectorAll('*')) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  if (e.tagName === 'SCRIPT') continue;
  const pair = [parts(getComputedStyle(e).color), ground(e)].map(light).sort((a, b) => b - a);
  found.push([(pair[0] + 0.05) / (pair[1] + 0.05), e.tagName]);
}
return found.sort((a, b) => a[0] - b[0])[0];
"""


def two_models(simulated: Path) -> list[str]:
    return [str(simulated / f"{name}_5class_results") for name in list(ACCURACIES)[:2]]


@pytest.fixture(scope="module")
def reported(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two simulated models."""
    output = tmp_path_factory.mktemp("reported") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        reports_in_a_thread(patch)
        words = ["--output", str(output), "--results_dirs", *two_models(simulated)]
        assert main(words, "report.py") == 0
    return output


def test_report_from_folders(reported):
    text = reported.read_text(encoding="utf-8")
    Reader(text)
    assert text.count("<article ") == 6  # the answers, and the five reports


@pytest.mark.slow
def test_a_page_is_made_without_torch(simulated, tmp_path):
    words = ["--output", str(tmp_path / "report.html"), "--results_dirs", *two_models(simulated)]
    code = (
        "import sys\nfrom dr_ovo.commands.reports.report import main\n"
        f"assert main({words!r}, 'report.py') == 0\nprint('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


@pytest.fixture(scope="module")
def pages(
    reported: Path, simulated: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Addresses of the page of two simulated models, of one with hostile names, and of a reading
    of photographs with such names."""
    columns = [Column("m", "Model"), Column("v", "Value", "percent"), Column("t", EVIL)]
    section = Section(EVIL, [LONG], [Table("t", EVIL, columns, ROWS, LONG)])
    hostile = Report("hostile", EVIL, {}, [section], ["SYNTHETIC", "LEAKY"])
    file = tmp_path_factory.mktemp("pages") / "hostile.html"
    file.write_text(page(EVIL, EVIL, [hostile]), encoding="utf-8")
    reading = file.with_name("sheet.html")
    reading.write_text(sheet_page(simulated, file.parent), encoding="utf-8")
    return {"real": reported.as_uri(), "hostile": file.as_uri(), "sheet": reading.as_uri()}


def sheet_page(simulated: Path, folder: Path) -> str:
    """The page of a reading, with a drawn photograph and one that is gone, of hostile names."""
    calibration = load_calibration(simulated / "coatnet_5class_results" / "calibration.json")
    names = ("No DR", "Mild", "Moderate", "Severe", EVIL)
    rules = Rules(names, calibration, "", 0.9, "0" * 64, 2, ("SYNTHETIC",), ("no file",))
    picture = folder / f"{LONG}.jpeg"
    cv2.imwrite(str(picture), drawn_eye(3, np.random.default_rng(0)))
    p = (0.1, 0.1, 0.2, 0.3, 0.3)
    seen = Reading("referable", (EVIL, LONG), True, 4, EVIL, p, p, 0.8, 0.6, 0.5, (2, 4), 0.9, 0.4)
    rows = [
        (picture.name, EVIL, "left", Row(picture, seen, "2026-01-01")),
        ("<b>gone.jpeg", "10", "", Row(folder / "<b>gone.jpeg", unreadable(EVIL), "2026-01-01")),
    ]
    kinds = ("photographs", "eyes", "patients")
    counts = {kind: {"referable": 1, "ungradable": 1} for kind in kinds}
    own = own_test(ResultsFolder(simulated / "coatnet_5class_results"), rules)
    summary = {"counts": counts, "own_test": own}
    report = sheet(rules, summary, rows, [Damage(folder / "<b>gone.jpeg", EVIL)])
    return page(report.title, EVIL, [report])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that logs its console and its requests."""
    if not (BROWSER and DRIVER):
        reason = "no chromium and chromedriver here (Debian: apt-get install chromium-driver)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def show(browser: Any, address: str, width: int = 1280, scheme: str = "light") -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)


@pytest.mark.parametrize("name", ["real", "hostile", "sheet"])
def test_no_error_and_no_request(browser, pages, name):
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    show(browser, pages[name])
    browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    assert browser.get_log("browser") == []
    messages = [json.loads(row["message"])["message"] for row in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages
            if m["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert pages[name] in sent
    assert [url for url in sent if url != pages[name] and not url.startswith("data:")] == []


@pytest.mark.parametrize("name", ["real", "hostile", "sheet"])
@pytest.mark.parametrize("width", [360, *slow(1280)])
def test_nothing_overflows(browser, pages, name, width):
    show(browser, pages[name], width)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["real", "hostile", "sheet"])
@pytest.mark.parametrize("scheme", ["dark", *slow("light")])
def test_text_can_be_read(browser, pages, name, scheme):
    show(browser, pages[name], 1280, scheme)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    contrast, element = browser.execute_script(CONTRASTS)
    assert contrast >= 4.5, element


def test_pictures_have_text_and_a_light_ground(browser, pages):
    show(browser, pages["real"], 1280, "dark")
    pictures = browser.execute_script(
        "return [...document.images].map((i) => [i.alt, i.complete && i.naturalWidth,"
        "getComputedStyle(i).backgroundColor])"
    )
    assert len(pictures) >= 7
    for alt, width, ground in pictures:
        assert len(alt) > 30
        assert width > 100
        assert ground == "rgb(255, 255, 255)"


def first_column(browser: Any) -> list[str]:
    rows = browser.execute_script(
        "return [...document.querySelector('tbody').rows].map((r) => r.cells[0].innerText.trim())"
    )
    return ["evil" if row == EVIL else "long" if row == LONG else row for row in rows]


def test_tables_sort_by_click_and_keyboard(browser, pages):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["hostile"])
    headers = browser.find_elements(By.CSS_SELECTOR, "thead th")
    buttons = browser.find_elements(By.CSS_SELECTOR, "thead th button")
    browser.execute_script("arguments[0].click()", buttons[1])
    assert first_column(browser) == ["d", "long", "c", "evil"]  # by value; the missing one last
    buttons[1].send_keys(Keys.ENTER)
    assert first_column(browser) == ["c", "long", "d", "evil"]
    assert [h.get_attribute("aria-sort") for h in headers] == ["none", "descending", "none"]
    buttons[2].send_keys(Keys.SPACE)
    assert first_column(browser)[:2] == ["evil", "long"]  # b9 before b10
    assert [h.get_attribute("aria-sort") for h in headers] == ["none", "none", "ascending"]


def test_a_sheet_sorts_by_the_keyboard_and_keeps_its_pictures(browser, pages):
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["sheet"], 360)
    width = browser.execute_script(
        "return document.querySelector('td img').getBoundingClientRect().width"
    )
    assert width > 100
    title = "The 2 photographs to look at first, of 2"
    button, files = "thead button", "tbody tr"
    table = f"[...document.querySelectorAll('table')].find((t) => t.innerText.includes({title!r}))"
    first = f"return {table}.querySelectorAll('{files}')[0].innerText.includes('gone.jpeg')"
    assert not browser.execute_script(first)
    verdict = browser.execute_script(f"return {table}.querySelectorAll('{button}')[2]")
    verdict.send_keys(Keys.ENTER)
    assert not browser.execute_script(first)
    verdict.send_keys(Keys.ENTER)
    assert browser.execute_script(first)  # ungradable after referable, reversed


def test_paper_is_white_and_shows_whole_tables(browser, pages):
    show(browser, pages["real"], 700, "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    styles = browser.execute_script(
        "return [getComputedStyle(document.body).backgroundColor,"
        "getComputedStyle(document.querySelector('.scroll')).overflowX]"
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert styles == ["rgb(255, 255, 255)", "visible"]
