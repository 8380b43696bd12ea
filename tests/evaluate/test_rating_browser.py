"""The page as raters have it: in a browser, from a file, without a network."""

import csv
from pathlib import Path

import pytest
from rating_data import CASCADE, END_TO_END, HEADER, make_answers, make_page, write_lines

from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.rating.key import RatingKey, read_key

pytestmark = pytest.mark.browser

KEY_OF = {("left", True): "1", ("left", False): "2", ("right", True): "3", ("right", False): "4"}


class Desk:
    """Where a rater sits: a browser profile with the page open."""

    def __init__(self, browser, page: Path) -> None:
        self.browser, self.url = browser, page.as_uri()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page = self.open()

    def open(self):
        """The page in a new tab."""
        tab = self.browser.new_page()
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("console", lambda message: self.errors.append(message.text))
        tab.goto(self.url)
        return tab

    def sign_in(self, name: str) -> None:
        self.page.fill("#name", name)
        self.page.keyboard.press("Enter")

    def judge(self, sample: int, key: RatingKey, successful: str) -> None:
        """With keys alone: the answers of one system succeed."""
        for side in ("left", "right"):
            is_success = key.samples[sample - 1].system(side) == successful
            self.page.keyboard.press(KEY_OF[side, is_success])

    def download(self, folder: Path) -> Path:
        with self.page.expect_download() as waiting:
            self.page.click("#download")
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def text(self, id: str) -> str:
        return self.page.inner_text(f"#{id}")


@pytest.fixture
def key(tmp_path: Path) -> RatingKey:
    return make_page(tmp_path, 6)


@pytest.fixture
def desk(browser, key: RatingKey, tmp_path: Path) -> Desk:
    return Desk(browser, tmp_path / "out/rating/quiz/page.html")


def test_all_is_judged_with_a_reload_in_the_middle(desk: Desk, key: RatingKey, tmp_path: Path):
    desk.sign_in("Åsa “Q” O'Neil, jr")
    for sample in range(1, 7):
        assert desk.text("position") == f"Question {sample} of 6"
        desk.judge(sample, key, END_TO_END)
        if sample == 3:
            desk.page.reload()
            assert desk.text("position") == "Question 3 of 6"
            assert desk.text("judged") == "6 of 12 answers judged"
        if sample < 6:
            desk.page.keyboard.press("Enter")
    assert desk.text("judged") == "12 of 12 answers judged"
    assert "All answers are judged." in desk.text("note")
    path = desk.download(tmp_path)
    assert path.name == "ratings_Åsa_Q_O_Neil_jr.csv"
    assert main(["ratings", str(tmp_path / "out"), str(path)]) == 0
    text = (tmp_path / "out/ratings.md").read_text(encoding="utf-8")
    assert "judged by Åsa “Q” O'Neil, jr" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| all "))
    assert [cell.strip() for cell in row.split("|")][3:6:2] == ["0.0", "100.0"]
    assert desk.errors == []


def test_the_recording_decodes_and_plays(desk: Desk, key: RatingKey):
    desk.sign_in("Ada")
    seconds = []
    for _ in key.samples:
        desk.page.wait_for_function("() => player.readyState === 4")
        assert desk.page.evaluate("player.error") is None
        seconds.append(desk.page.evaluate("player.duration"))
        desk.page.keyboard.press("Enter")
    # Words of half a second each, 2 to 4 of them, as the recordings were made.
    assert all(duration in (1.0, 1.5, 2.0) for duration in seconds)
    desk.page.keyboard.press("Space")
    desk.page.wait_for_function("() => player.currentTime > 0.1 && !player.paused")
    desk.page.keyboard.press("Space")
    desk.page.wait_for_function("() => player.paused")
    desk.page.click("#play")
    desk.page.wait_for_function("() => player.ended")


def test_what_is_shown_is_what_the_key_says(desk: Desk, key: RatingKey):
    desk.sign_in("Ada")
    for sample in key.samples:
        assert desk.text("question") == sample.question
        assert desk.text("reference") == sample.reference[0]
        assert desk.text("left") == sample.answer("left")
        assert desk.text("right") == sample.answer("right")
        desk.page.click("#next", force=True)


def test_the_page_is_blind_and_alone(desk: Desk, tmp_path: Path):
    desk.sign_in("Ada")
    desk.page.keyboard.press("1")
    desk.download(tmp_path)
    source = desk.page.content().lower() + Path(desk.url.removeprefix("file://")).read_text()
    assert CASCADE not in source
    assert END_TO_END not in source
    kept = desk.page.evaluate("JSON.stringify(localStorage)")
    assert "test-" not in kept + source  # ids of utterances
    asked = [url for url in desk.requests if not url.startswith(("data:", "blob:"))]
    assert set(asked) == {desk.url}
    # The browser would not let it call anybody.
    refused = desk.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'no')")
    assert refused == "no"
    assert "Content Security Policy" in desk.errors[0]


def test_keys_that_buttons_and_fields_need_stay_theirs(desk: Desk):
    desk.page.keyboard.type("12 u")
    assert desk.page.input_value("#name") == "12 u"
    desk.page.keyboard.press("Enter")
    for _ in range(3):  # to the first button for a judgement
        desk.page.keyboard.press("Tab")
    desk.page.focus('[data-side="left"][data-judgement="failure"]')
    desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Space")  # presses the button, does not play
    assert desk.text("judged") == "1 of 12 answers judged"
    assert desk.page.evaluate("player.paused")
    pressed = desk.page.locator('[aria-pressed="true"]')
    assert pressed.get_attribute("data-side") == "right"
    assert pressed.get_attribute("data-judgement") == "success"


def test_a_judgement_may_be_changed_and_a_gap_is_found(desk: Desk, key: RatingKey, tmp_path: Path):
    desk.sign_in("Ada")
    desk.judge(1, key, CASCADE)
    desk.page.click("#overview button:nth-child(3)")
    desk.judge(3, key, CASCADE)
    desk.judge(3, key, END_TO_END)
    desk.page.keyboard.press("4")
    desk.page.keyboard.press("3")
    desk.page.keyboard.press("u")
    assert desk.text("position") == "Question 4 of 6"
    desk.page.click('[data-side="left"][data-judgement="failure"]')
    classes = desk.page.eval_on_selector_all("#overview button", "all => all.map(b => b.className)")
    assert classes == ["done", "", "done", "half", "", ""]
    desk.page.keyboard.press("ArrowRight")
    desk.page.keyboard.press("ArrowRight")
    desk.page.keyboard.press("ArrowRight")  # there is no seventh
    desk.page.keyboard.press("u")
    assert desk.text("position") == "Question 2 of 6"
    with open(desk.download(tmp_path), encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == HEADER
    assert rows[3] == [key.page, "Ada", "3", "right", "success"]
    assert rows[4][2:] == ["4", "left", "failure"]
    assert "7 of 12 answers have no judgement yet: the file is a safety copy." in desk.text("note")


def test_two_raters_at_one_browser_do_not_mix(desk: Desk, key: RatingKey):
    desk.sign_in("Ada")
    desk.judge(1, key, CASCADE)
    desk.page.click("#rater")
    desk.sign_in("Bob")
    assert desk.text("judged") == "0 of 12 answers judged"
    desk.page.click("#rater")
    desk.sign_in("ada")
    assert desk.text("judged") == "2 of 12 answers judged"
    assert desk.text("rater") == "Ada (change)"


def test_the_page_in_two_tabs_loses_nothing(desk: Desk, key: RatingKey):
    desk.sign_in("Ada")
    other = desk.open()
    other.keyboard.press("1")
    desk.page.wait_for_function("() => judged.textContent.startsWith('1 of')")
    desk.page.keyboard.press("3")
    other.wait_for_function("() => judged.textContent.startsWith('2 of')")


def test_an_answer_is_text_whatever_it_holds(browser, tmp_path: Path):
    options = make_answers(tmp_path, 3)
    evil = "<img src=x onerror=\"document.title='hit'\"></script><script>alert(1)</script> &amp;"
    records = [{"id": f"test-{n}", "answer": evil if n else " "} for n in range(3)]
    write_lines(tmp_path / f"answers/quiz/{END_TO_END}.jsonl", records)
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    key = read_key(tmp_path / "out/rating/quiz/key.json")
    desk = Desk(browser, tmp_path / "out/rating/quiz/page.html")
    desk.page.on("dialog", lambda dialog: desk.errors.append(dialog.message))
    desk.sign_in("<b>Ada</b>")
    for sample in key.samples:
        side = next(side for side in ("left", "right") if sample.system(side) == END_TO_END)
        assert desk.text(side) == (evil if sample.id != "test-0" else "(no words)")
        desk.page.keyboard.press("Enter")
    assert desk.text("rater") == "<b>Ada</b> (change)"
    assert desk.page.title() == "Judging spoken answers"
    assert desk.errors == []


def test_a_browser_that_keeps_nothing_says_so(browser, key: RatingKey, tmp_path: Path):
    browser.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})"
    )
    desk = Desk(browser, tmp_path / "out/rating/quiz/page.html")
    desk.sign_in("Ada")
    desk.judge(1, key, CASCADE)
    assert "do not close or reload the page before you have downloaded" in desk.text("note")
    assert desk.text("judged") == "2 of 12 answers judged"
