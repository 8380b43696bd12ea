import json
from pathlib import Path

import pytest
from rating_data import CASCADE, END_TO_END, make_answers, make_page, rows_of, write_csv

from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.rating import report as rating_report
from fairseq_audiochat.evaluate.rating.key import RatingKey, read_key


@pytest.fixture
def pictures() -> None:
    """For tests that look at them; each takes a third of a second."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(rating_report, "draw", lambda found, path: None)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def report(folder: Path, *files: Path) -> tuple[list[list[str]], str, dict]:
    """Run the command: rows of the tables, the text and the numbers."""
    assert main(["ratings", str(folder / "out"), *map(str, files)]) == 0
    text = (folder / "out/ratings.md").read_text(encoding="utf-8")
    found = json.loads((folder / "out/ratings.json").read_text(encoding="utf-8"))
    return [cells(line) for line in text.splitlines() if line.startswith("|")], text, found


def error(capsys: pytest.CaptureFixture[str], folder: Path, *files: Path) -> str:
    capsys.readouterr()
    assert main(["ratings", str(folder / "out"), *map(str, files)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


def file_of(folder: Path, key: RatingKey, name: str, succeeds) -> Path:
    return write_csv(folder / f"{name}.csv", rows_of(key, name, succeeds))


def test_one_rater_worked_out(tmp_path: Path, pictures):
    key = make_page(tmp_path, 12)  # 4 samples at each level
    levels = {number: sample.level for number, sample in enumerate(key.samples, start=1)}
    # zebra succeeds at the lowest level alone, walrus everywhere.
    path = file_of(tmp_path, key, "Ada", lambda s, n: s == END_TO_END or levels[n] == 0)
    rows, text, found = report(tmp_path, path)
    assert "## quiz: 12 samples, judged by Ada" in text
    # Wilson with z = 1.96: z^2 = 3.8415; of 4 all: 4 / (4 + z^2) = 0.510; of 4 none: 1 - 0.510.
    # p of McNemar: 0 of 4 is 2 / 2^4 = 0.125, 0 of 8 is 2 / 2^8 = 0.008.
    every, none = ["100.0", "[51.0, 100.0]"], ["0.0", "[0.0, 49.0]"]
    assert rows[2:6] == [
        ["0 %", "4", *every, *every, "0", "0", "1.000"],
        ["above 0 to 30 %", "4", *none, *every, "0", "4", "0.125"],
        ["above 30 %", "4", *none, *every, "0", "4", "0.125"],
        # 4 of 12: (4 + z^2/2) / (12 + z^2) = 0.374 -+ 0.235; 12 of 12: 12 / (12 + z^2) = 0.758.
        ["all", "12", "33.3", "[13.8, 60.9]", "100.0", "[75.8, 100.0]", "0", "8", "0.008"],
    ]
    assert found["quiz"]["levels"]["all"]["paired"]["p_value"] == pytest.approx(2 / 2**8)
    assert found["quiz"]["agreement"] == {}
    assert "above 30 %: 4 of the 50 samples that were asked for." in text
    assert (tmp_path / "out/ratings.png").stat().st_size > 5000


def test_sides_are_unblinded(tmp_path: Path):
    """Guards against left and right being taken for the systems."""
    key = make_page(tmp_path, 12)
    assert {sample.left for sample in key.samples} == {CASCADE, END_TO_END}
    _, _, found = report(tmp_path, file_of(tmp_path, key, "Ada", lambda s, n: s == CASCADE))
    systems = found["quiz"]["levels"]["all"]["systems"]
    assert [systems[name]["successes"] for name in (CASCADE, END_TO_END)] == [12, 0]


def test_two_raters_tie_where_they_disagree(tmp_path: Path):
    key = make_page(tmp_path, 12)
    first = file_of(tmp_path, key, "Ada", lambda s, n: n <= 6)
    second = file_of(tmp_path, key, "Bob", lambda s, n: n <= 8)
    rows, text, found = report(tmp_path, first, second)
    whole = found["quiz"]["levels"]["all"]["systems"]
    assert {name: whole[name]["successes"] for name in whole} == {CASCADE: 6, END_TO_END: 6}
    assert "Success: more than half of the raters say so." in text
    assert "Ties, which count as failures: 2 of zebra, 2 of walrus." in text
    # They agree on 10 of 12; chance (6/12)(8/12) + (6/12)(4/12) = 1/2; (10/12 - 1/2) / (1/2).
    assert ["zebra", "12", "83.3", "0.67"] in rows
    assert ["all", "24", "83.3", "0.67"] in rows
    assert "Cohen's kappa" in text
    assert ["Bob", "66.7", "[39.1, 86.2]", "66.7", "[39.1, 86.2]"] in rows


def test_three_raters_vote(tmp_path: Path):
    key = make_page(tmp_path, 12)
    limits = {"Ada": 3, "Bob": 5, "Cy": 9}
    files = [
        file_of(tmp_path, key, name, lambda s, n, limit=limit: n <= limit)
        for name, limit in limits.items()
    ]
    _, text, found = report(tmp_path, *files)
    assert found["quiz"]["levels"]["all"]["systems"][CASCADE]["successes"] == 5  # the median
    assert found["quiz"]["agreement"]["all"]["statistic"] == "Fleiss"
    assert "Fleiss' kappa" in text
    assert "Ties" not in text


def test_raters_who_say_the_same_of_everything_have_no_kappa(tmp_path: Path):
    key = make_page(tmp_path, 3)
    files = [file_of(tmp_path, key, name, lambda s, n: True) for name in ("Ada", "Bob")]
    rows, text, found = report(tmp_path, *files)
    assert ["all", "6", "100.0", "undefined"] in rows
    assert "A kappa is undefined where every judgement was the same." in text
    assert found["quiz"]["agreement"]["all"]["kappa"] is None  # JSON has no NaN


def test_a_level_without_samples_has_no_rate(tmp_path: Path, pictures):
    key = make_page(tmp_path, 3, "--wer-levels", "0", "5", "30")
    rows, _, _ = report(tmp_path, file_of(tmp_path, key, "Ada", lambda s, n: True))
    assert ["above 0 to 5 %", "0", "", "", "", "", "0", "0", ""] in rows


def test_without_raters_the_alias_match_stands_in(tmp_path: Path):
    make_page(tmp_path, 20)
    _, text, found = report(tmp_path)
    assert "20 samples, judged by the alias match" in text
    assert "Nobody judged it." in text
    systems = found["quiz"]["levels"]["all"]["systems"]
    assert systems[CASCADE]["successes"] == 15  # every fourth of 20 is wrong
    assert systems[END_TO_END]["successes"] == 16  # every fifth
    assert found["quiz"]["raters"] == []


def test_the_alias_match_is_compared_with_raters(tmp_path: Path):
    key = make_page(tmp_path, 20)
    rows, text, _ = report(tmp_path, file_of(tmp_path, key, "Ada", lambda s, n: True))
    assert ["(alias match)", "75.0", "[53.1, 88.8]", "80.0", "[58.4, 91.9]"] in rows
    agrees = "The alias match agrees with the raters on 15 of 20 answers of zebra, on 16 of 20"
    assert agrees in text


def test_nothing_to_say_without_raters_and_known_answers(tmp_path: Path):
    make_page(tmp_path, 3, known=False)
    rows, text, _ = report(tmp_path)
    assert rows == []
    assert "Nobody has judged yet, and the right answers are not known." in text


def test_the_report_is_made_again_from_the_folder_alone(tmp_path: Path, pictures):
    key = make_page(tmp_path, 9)
    file = file_of(tmp_path, key, "Ada", lambda s, n: n % 2 == 0)
    _, text, _ = report(tmp_path, file)
    file.unlink()
    for name in ("md", "json", "png"):
        (tmp_path / f"out/ratings.{name}").unlink()
    assert main(["report", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/ratings.md").read_text() == text
    assert (tmp_path / "out/ratings.png").exists()


def test_raters_may_come_one_after_the_other(tmp_path: Path):
    key = make_page(tmp_path, 9)
    first = file_of(tmp_path, key, "Ada", lambda s, n: n < 4)
    second = file_of(tmp_path, key, "Bob", lambda s, n: n < 6)
    report(tmp_path, first)
    one_by_one = report(tmp_path, second, first)  # the first one is known by now
    (tmp_path / "other").mkdir()
    (tmp_path / "out").rename(tmp_path / "other/out")
    for path in (tmp_path / "other/out/rating/quiz/raters").iterdir():
        path.unlink()
    assert report(tmp_path / "other", first, second) == one_by_one


def test_files_of_two_pages_find_theirs(tmp_path: Path):
    keys = [make_page(tmp_path, 9)]
    options = [o.replace("quiz=", "other=") for o in make_answers(tmp_path, 9)]
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options, "--seed", "2"]) == 0
    keys.append(read_key(tmp_path / "out/rating/other/key.json"))
    files = [
        write_csv(tmp_path / f"{row}.csv", rows_of(key, "Ada", lambda s, n, row=row: bool(row)))
        for row, key in enumerate(keys)
    ]
    _, _, found = report(tmp_path, *files)
    shares = {name: of["levels"]["all"]["systems"][CASCADE]["share"] for name, of in found.items()}
    assert shares == {"quiz": 0, "other": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: rows[:-1], ":18: all 18 answers must be judged, but 1 are not when the file"),
        (lambda rows: rows[:4] + rows[6:], "but 2 are not when the file ends (first: sample 3, l"),
        (lambda rows: [*rows, rows[2]], ":20: an answer must be judged once, but sample 2, left"),
        (lambda rows: [*rows, rows[2]], "is judged in line 4 already; give the file as the page"),
        (lambda rows: set_cell(rows, 2, "10"), ":4: 'sample' must be a number from 1 to 9, but"),
        (lambda rows: set_cell(rows, 2, "0"), "'sample' must be a number from 1 to 9, but is '0'"),
        (lambda rows: set_cell(rows, 2, "two"), "a number from 1 to 9, but is 'two'"),
        (lambda rows: set_cell(rows, 3, "middle"), "'answer' must be left or right, but is 'mid"),
        (lambda rows: set_cell(rows, 4, "yes"), ":4: 'judgement' must be success or failure, bu"),
        (lambda rows: set_cell(rows, 4, ""), "'judgement' must be success or failure, but is ''"),
        (lambda rows: set_cell(rows, 1, "Bob"), "'rater' must be one name in all rows, but is 'B"),
        (lambda rows: set_cell(rows, 0, "f00"), ":4: 'page' must be "),
        (lambda rows: [rows[0][:4], *rows[1:]], ":2: a row must have 5 cells, but has 4; give"),
        (lambda rows: [], "Ada.csv: a rater's file must have judgements, but has none"),
        (lambda rows: [["f00", *row[1:]] for row in rows], ":2: 'page' must be a page of this fol"),
        (lambda rows: [[row[0], " ", *row[2:]] for row in rows], "'rater' must be one name in al"),
    ],
)
def test_a_bad_file_is_named_with_its_line(change, expected: str, tmp_path: Path, capsys):
    key = make_page(tmp_path, 9)
    path = write_csv(tmp_path / "Ada.csv", change(rows_of(key, "Ada", lambda s, n: True)))
    assert expected in error(capsys, tmp_path, path)
    assert not (tmp_path / "out/rating/quiz/raters").exists()


def set_cell(rows: list[list[str]], column: int, value: str) -> list[list[str]]:
    rows[2][column] = value  # line 4: a header, and two rows of sample 1
    return rows


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"sample;answer\n1;left\n", ":1: the header must be 'page,rater,sample,answer,judgement"),
        (b"\xff\xfe\x00", "a rater's file must be CSV in UTF-8, but: 'utf-8' codec"),
        (b'page,rater,sample,answer,judgement\n"a"b,c\n', "must be CSV in UTF-8, but: ',' expect"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, expected: str, tmp_path: Path, capsys):
    make_page(tmp_path, 3)
    (tmp_path / "bad.csv").write_bytes(content)
    assert expected in error(capsys, tmp_path, tmp_path / "bad.csv")


def test_a_spreadsheets_mark_and_line_ends_are_read(tmp_path: Path):
    key = make_page(tmp_path, 3)
    path = file_of(tmp_path, key, "Zoë, M.", lambda s, n: True)
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert report(tmp_path, path)[2]["quiz"]["raters"] == ["Zoë, M."]


def test_two_files_of_a_rater_are_refused(tmp_path: Path, capsys):
    key = make_page(tmp_path, 9)
    first = file_of(tmp_path, key, "Ada", lambda s, n: True)
    second = write_csv(tmp_path / "2.csv", rows_of(key, "ada", lambda s, n: n > 1))
    message = error(capsys, tmp_path, first, second)
    assert f"2.csv:2: every rater must have one file, but 'ada' has {first} too; leave" in message
    report(tmp_path, first)
    assert "every rater must have one file, but 'ada' has" in error(capsys, tmp_path, second)
    assert report(tmp_path)[2]["quiz"]["raters"] == ["Ada"]


def test_a_missing_file_is_named(tmp_path: Path, capsys):
    make_page(tmp_path, 3)
    assert "a rater's file must be there, but is not" in error(capsys, tmp_path, Path("no.csv"))


def test_a_folder_without_a_page_is_refused(tmp_path: Path, capsys):
    make_page(tmp_path, 3)
    (tmp_path / "out/rating/quiz/key.json").unlink()
    assert "there must be a page that was judged, but there is none" in error(capsys, tmp_path)
