"""The page in a real browser, opened from a file: rated with keys, kept, saved, loaded; and what it must never hold or ask for."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lib.curation.review.key import Key
from lib.curation.review.page import as_script_data, make_page
from lib.curation.review.pictures import data_uri
from lib.curation.review.ratings import read_ratings
from lib.study.review import REALISM, Scale

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

FLAGS    = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=640,700")
HOSTILE  = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">&quot;'"
CRITERIA = [Scale(name=name, high=5, question=f"Is the {name} right?") for name in ("colour", "texture", "boundary")]
PATIENCE = 20           # seconds, only where something is awaited that has no other sign


class Rater:
    """Someone at the browser."""

    def __init__(self, driver, downloads: Path):
        self.driver, self.downloads = driver, downloads

    def open(self, page: Path, name: str = "anna", *, mobile: tuple[int, int] | None = None) -> None:
        if mobile:
            size = {"width": mobile[0], "height": mobile[1], "deviceScaleFactor": 1, "mobile": True}
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        else:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.get(page.as_uri())
        if name and self["rater"].get_attribute("readonly") is None:
            self["rater"].clear()
            self["rater"].send_keys(name)
        if name:
            self["go"].click()

    def __getitem__(self, name: str):
        return self.driver.find_element(By.ID, name)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def shown(self) -> tuple[int, int]:
        """Place of the picture, from 1, and how many are rated."""
        place, rated = re.fullmatch(r"(\d+) of \d+ · (\d+) rated", self["place"].text).groups()
        return int(place), int(rated)

    def pressed(self) -> list[str]:
        return [button.text for button in self.driver.find_elements(By.CSS_SELECTOR, "#scales [aria-pressed=true]")]

    def saved(self) -> Path:
        """The one file that came of saving."""
        WebDriverWait(self.driver, PATIENCE).until(lambda _: list(self.downloads.glob("*.csv")))
        found, = self.downloads.glob("*.csv")
        return found.rename(self.downloads.parent / found.name)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Rater]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here; Debian's packages chromium and chromium-driver have them")
    downloads = tmp_path_factory.mktemp("saved") / "downloads"
    downloads.mkdir()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads), "download.prompt_for_download": False})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    running.get("about:blank")                                              # away from the browser's own first page
    yield Rater(running, downloads)
    running.quit()


@pytest.fixture
def rater(browser) -> Iterator[Rater]:
    """After each test: nothing was asked of the network, nothing was complained of."""
    for log in ("browser", "performance"):
        browser.driver.get_log(log)
    yield browser
    assert browser.driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked, "the page itself is among the requests, so an empty list means that nothing was recorded"
    assert [url for url in asked if not url.startswith(("file:///", "data:image/", "data:,", "blob:"))] == []
    assert len({url for url in asked if url.startswith("file:///")}) == 1


@pytest.fixture
def page(make_key, pictures, tmp_path) -> Callable[..., tuple[Path, Key]]:
    """A page of so many pictures with an id of its own, so that no test finds what another rated, and its key."""
    def made(scales=(REALISM,), images: int = 6, **options) -> tuple[Path, Key]:
        key = make_key(images=images, scales=list(scales), acceptance=None)
        key = Key(hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12], key.scales, key.items, [])
        path = tmp_path / "review.html"
        path.write_text(make_page(review=key.review, title="Which of these?", scales=key.scales, items=list(key.items["item"]), size=16,
                                  pictures=[data_uri(one) for one in pictures[:images]], **options), encoding="utf-8")
        return path, key
    return made


def test_all_is_rated_with_keys_and_saved_as_a_file_that_collect_reads(rater, page, tmp_path):
    path, key = page()
    rater.open(path)
    assert rater.shown() == (1, 0)
    rater.press("3", "9", "0", "5")                                         # the scale has no 9 and no 0
    assert rater.shown() == (3, 2)
    rater.press(Keys.NUMPAD1, "7", "2")
    assert rater.shown() == (6, 5) and rater["progress"].get_attribute("aria-valuetext") == "5 of 6 rated"
    rater.press("4")
    assert rater["done"].get_attribute("open") is not None
    rater["finish"].click()
    ratings, notices = read_ratings([rater.saved()], key)
    assert notices == [] and set(ratings["rater"]) == {"anna"}
    assert dict(zip(ratings["item"], ratings["realism"], strict=True)) == dict(zip(key.items["item"], [3, 5, 1, 7, 2, 4], strict=True))


def test_a_reload_keeps_everything_and_another_rater_starts_anew(rater, page):
    path, _ = page()
    rater.open(path, "Anna")
    rater.press("3", "5")
    rater.open(path, "anna")
    assert rater.shown() == (3, 2)
    rater.press(Keys.ARROW_LEFT)
    assert rater.pressed() == ["5"]
    rater.open(path, "ben")
    assert rater.shown() == (1, 0)


def test_a_slip_is_taken_back_and_a_rating_can_be_changed(rater, page):
    path, _ = page()
    rater.open(path)
    rater.press("3", "5", Keys.BACKSPACE)
    assert rater.shown() == (2, 1) and rater.pressed() == []
    rater.press("6", Keys.ARROW_LEFT, Keys.ARROW_LEFT, "1")                 # change the first; then on to the next that lacks one
    assert rater.shown() == (3, 2)
    rater.press(Keys.BACKSPACE)
    assert rater.shown() == (1, 2) and rater.pressed() == ["3"]
    rater.press("u")
    assert rater.shown() == (3, 2)
    rater.press(Keys.BACKSPACE, Keys.BACKSPACE, Keys.BACKSPACE)             # one more than there is
    assert rater.shown() == (1, 0)


def test_several_questions_are_asked_in_turn(rater, page):
    path, key = page(CRITERIA)
    rater.open(path)
    rater.press("4", "3")
    assert rater.shown() == (1, 0) and rater.pressed() == ["4", "3"]
    active = rater.driver.find_element(By.CSS_SELECTOR, ".scale.active .question")
    assert active.text == "Is the boundary right?"
    rater.press(Keys.ARROW_UP, Keys.ARROW_UP, "5", "2")                     # the first again; then the one that is open
    assert rater.shown() == (2, 1)
    rater.press("1", "s")
    ratings, notices = read_ratings([rater.saved()], key)
    assert ratings[["colour", "texture", "boundary"]].iloc[0].tolist() == [5, 3, 2]
    assert notices == ["anna rated 2 of 6 pictures", "anna left 2 questions unanswered"]


def test_a_saved_file_goes_on_elsewhere_and_a_wrong_one_changes_nothing(rater, page, save_ratings, tmp_path):
    path, key = page()
    part = Key(key.review, key.scales, key.items.iloc[:4], [])
    wrong = {
        "range.csv": (save_ratings(tmp_path / "range.csv", part, "anna", 8), "does not fit this page"),
        "other.csv": (save_ratings(tmp_path / "other.csv", part, "ben", 4), "by ben, and this page is open for anna"),
        "review.csv": (save_ratings(tmp_path / "review.csv", Key("f" * 12, key.scales, part.items, []), "anna"), "another set of pictures"),
    }
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    rater.open(path)
    for name, (file, why) in {**wrong, "none.csv": (tmp_path / "none.csv", "no file of ratings")}.items():
        rater["file"].send_keys(str(file))
        WebDriverWait(rater.driver, PATIENCE).until(lambda _, name=name: rater["warning"].text.startswith(name))
        assert why in rater["warning"].text and rater.shown() == (1, 0)
    rater.press("1")
    rater["file"].send_keys(str(save_ratings(tmp_path / "good.csv", part, "ANNA", 4, mark=";")))
    WebDriverWait(rater.driver, PATIENCE).until(lambda _: rater.shown() == (5, 4))
    assert rater["status"].text == "3 ratings loaded; 1 differ from what is rated here, which stands"
    assert not rater["warning"].is_displayed()


def test_text_of_a_study_is_text(rater, page, tmp_path):
    scale = Scale(name="realism", question=HOSTILE, worst=HOSTILE, best=HOSTILE)
    path, _ = page([scale], labels=[HOSTILE] * 6)
    path.write_text(make_page(review="0" * 12, title=HOSTILE, scales=[scale], items=["a", "b"], size=16, labels=[HOSTILE] * 2,
                              pictures=["data:,", "data:,"], rater=HOSTILE), encoding="utf-8")
    rater.open(path, "")
    assert rater["rater"].get_attribute("value") == HOSTILE and rater["start-title"].text == HOSTILE
    assert rater.driver.title == f"Rating pictures: {HOSTILE}"
    shown = rater.driver.execute_script("return ['#label', '.question'].map((name) => document.querySelector(name).textContent)")
    assert shown == [HOSTILE, HOSTILE] and len(rater.driver.find_elements(By.TAG_NAME, "img")) == 1


def test_a_name_that_collect_would_refuse_is_refused_at_once(rater, page):
    path, _ = page()
    rater.open(path, "")
    for name in (" ", "=1+1", "simulated 1", "a,b"):
        rater["rater"].clear()
        rater["rater"].send_keys(name, Keys.ENTER)
        assert rater["start"].get_attribute("open") is not None and "wrong" in rater["rater-help"].get_attribute("class")
    rater.press(Keys.ESCAPE)
    assert rater["start"].get_attribute("open") is not None


def test_it_can_be_used_with_the_mouse_and_read_aloud(rater, page):
    path, _ = page([REALISM], labels=["nevus"] * 6)
    rater.open(path)
    six = rater.driver.find_elements(By.CSS_SELECTOR, ".points button")[5]
    assert rater["picture"].get_attribute("alt") == "Picture 1 of 6" and rater["label"].text == "nevus"
    six.click()
    assert rater.shown() == (2, 1) and rater["status"].text == "Picture 1: 6" and rater["status"].get_attribute("aria-live") == "polite"
    rater.press(Keys.SPACE)                                                 # the button has the focus still
    assert rater.shown() == (3, 2)
    rater["back"].click()
    assert rater.shown() == (2, 1)
    groups = rater.driver.find_elements(By.CSS_SELECTOR, "[role=group][aria-labelledby=question-0]")
    assert len(groups) == 1 and groups[0].accessible_name == REALISM.question
    named = [button.accessible_name for button in rater.driver.find_elements(By.TAG_NAME, "button") if button.is_displayed()]
    assert all(named) and "1, clearly artificial" in named


@pytest.mark.parametrize("scales", [[REALISM], CRITERIA], ids=["one", "several"])
def test_it_fits_a_phone(rater, page, scales):
    path, _ = page(scales)
    rater.open(path, mobile=(375, 667))
    wide, small = rater.driver.execute_script("""
        const boxes = [...document.querySelectorAll('.points button')].map((button) => button.getBoundingClientRect());
        return [document.documentElement.scrollWidth, Math.min(...boxes.map((box) => Math.min(box.width, box.height)))];""")
    assert wide <= 375 and small >= 38
    last = rater.driver.find_elements(By.CSS_SELECTOR, ".points button")[-1].rect
    assert last["y"] + last["height"] <= 667                                # all questions are in sight


def test_the_page_knows_nothing_of_what_is_real(page):
    path, key = page()
    text = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert set(data) == {"review", "rater", "side", "scales", "items"} and all(set(item) == {"id", "src"} for item in data["items"])
    assert not any(name in text for column in ("image_id", "sha256", "cluster_id") for name in key.items[column])
    assert not re.search(r"https?:|//[a-z]+\.", text)


def test_script_data_cannot_leave_its_element():
    value = {"text": "</script><!--<script>&\u2028", "more": [HOSTILE]}
    text = as_script_data(value)
    assert not set("<>&") & set(text) and json.loads(text) == value
