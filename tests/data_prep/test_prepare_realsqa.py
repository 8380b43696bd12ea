"""From OpenAssistant's files to sheets: the command, its files, and the errors."""

import csv
import gzip
import hashlib
import io
import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import collect_realsqa
import oasst
import prepare_realsqa
import pytest
import realsqa.selection
import realsqa.speakable
from name_tagger import make_name_tagger
from realsqa.selection import Prompt
from realsqa.sheet_page import sheet_html
from realsqa.sheets import Line, deal, sheet_csv
from realsqa.trees import read_roots
from realsqa.verdicts import WAY_OUT

CITIES = ["Rome", "Oslo", "Lima", "Bonn", "Cork", "Nice", "Bari"]


def write(folder: Path, name: str = "oasst1_ready.trees.jsonl.gz") -> Path:
    """Seven prompts, and a German one."""
    trees = [oasst.tree(f"tree-{city}", f'Is "{city}" old & big?') for city in CITIES]
    trees.insert(3, oasst.tree("tree-de", "Ist Rom alt?", lang="de"))
    return oasst.write_trees(folder / name, trees)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare_realsqa.py", *map(str, arguments)])
    prepare_realsqa.main()


def error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """What the script says, when it ends with exit code 2 and one sentence."""
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seven prompts for three speakers of at most two: six are dealt, one is on no sheet."""
    trees, out = write(tmp_path), tmp_path / "realsqa"
    run(monkeypatch, trees, out, "--speakers", 3, "--prompts-per-speaker", 2)
    assert capsys.readouterr().out.splitlines() == [
        "named entities by: capitalised words that do not begin a sentence",
        "7 prompts selected, 1 trees left out",
        "        1 left out: not English",
        f"6 prompts on 3 sheets in {out}/sheets, 1 on none",
    ]
    header, *prompts = rows(out / "prompts.tsv")
    assert header == ["id", "text", "speaker", "names", "tree"]
    assert [(row[0], row[1], row[3], row[4]) for row in prompts] == [
        (f"q000{number}", f'Is "{city}" old & big?', city, f"tree-{city}")
        for number, city in enumerate(CITIES, start=1)
    ]
    counts = {"speaker01": 2, "speaker02": 2, "speaker03": 2, "": 1}
    assert Counter(row[2] for row in prompts) == counts
    assert rows(out / "left_out.tsv") == [
        ["tree", "reason", "detail", "text"],
        ["tree-de", "not English", "de", "Ist Rom alt?"],
    ]
    assert rows(out / "speakers.tsv")[1] == ["speaker01", "", "", ""]
    assert json.loads((out / "selection.json").read_text()) == {
        "named_entities": "capitalised words that do not begin a sentence",
        "trees": [{"file": trees.name, "sha256": hashlib.sha256(trees.read_bytes()).hexdigest()}],
        "speakers": 3,
        "prompts_per_speaker": 2,
        "seed": 1,
        "prompts": 7,
        "left_out": {"not English": 1},
    }
    assert not list(tmp_path.glob(".*"))  # nothing half done is left
    for speaker in ("speaker01", "speaker02", "speaker03"):
        ids = [f"{row[0]}.wav" for row in prompts if row[2] == speaker]
        text = (out / f"sheets/{speaker}.csv").read_text(encoding="utf-8-sig")
        sheet = list(csv.DictReader(io.StringIO(text)))
        assert [line["file"] for line in sheet] == ids
        assert all(name in (out / f"sheets/{speaker}.html").read_text() for name in ids)


def test_a_model_finds_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_name_tagger(tmp_path / "model", {"oslo": "B-LOC", "bari": "B-LOC"})
    run(monkeypatch, write(tmp_path), tmp_path / "out", "--speakers", 1, "--ner-model", model)
    output = capsys.readouterr().out.splitlines()
    assert f"named entities by: {model}" in output
    assert "        5 left out: no named entity" in output
    assert [row[3] for row in rows(tmp_path / "out/prompts.tsv")[1:]] == ["Oslo", "Bari"]
    assert json.loads((tmp_path / "out/selection.json").read_text())["named_entities"] == str(model)


def test_several_files_plain_or_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second release holds the first: its trees are duplicates."""
    again = write(tmp_path, "oasst2_ready.trees.jsonl")
    with open(again, "a") as file:
        file.write(json.dumps(oasst.tree("new", "Where is Kiel?")) + "\n")
    run(monkeypatch, write(tmp_path), again, tmp_path / "out", "--speakers", 1)
    output = capsys.readouterr().out
    assert "8 prompts selected, 9 trees left out" in output
    assert "        7 left out: duplicate" in output


def test_dealing() -> None:
    """201 prompts: 67 each for three; for one speaker 200 and one on no sheet; a seed deals."""
    prompts = [Prompt(str(index), f"text {index}", []) for index in range(201)]
    lines = deal(prompts, 3, 200, seed=1)
    assert Counter(line.speaker for line in lines) == dict.fromkeys(
        ("speaker01", "speaker02", "speaker03"), 67
    )
    assert [line.prompt for line in lines] == prompts
    assert lines == deal(prompts, 3, 200, seed=1)
    assert lines != deal(prompts, 3, 200, seed=2)
    assert Counter(line.speaker for line in deal(prompts, 1, 200, 1)) == {"speaker01": 200, "": 1}
    assert [line.id for line in lines[::200]] == ["q0001", "q0201"]


class Page(HTMLParser):
    """What stands in a page: the cells of its table, its tags, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "input"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def test_the_page_holds_every_prompt_escaped() -> None:
    texts = ['Is "Rome" <b>old</b> & big?', "Where's {Oslo} & &amp; </td>?"]
    lines = [Line(f"q{i}", "s", Prompt("t", text, [])) for i, text in enumerate(texts)]
    html = sheet_html("anna <1>", lines)
    page = Page(html)
    assert page.rows == [["", "file", "prompt", "done"]] + [
        [str(i + 1), f"q{i}.wav", text, ""] for i, text in enumerate(texts)
    ]
    assert page.tags["input"] == 2
    assert page.tags["script"] == page.tags["link"] == page.tags["b"] == 0
    assert page.loaded == []
    assert "url(" not in html
    assert "<code>anna &lt;1&gt;</code>: <code>anna &lt;1&gt;/q0.wav</code>" in html
    assert "16,000 samples a second" in html
    assert "@page { size: A4;" in html


def test_a_sheet_for_spreadsheets_keeps_quotes() -> None:
    line = Line("q0001", "s", Prompt("t", 'Is "Rome", the city, old?', []))
    assert sheet_csv([line]) == (
        '"number","file","prompt"\r\n"1","q0001.wav","Is ""Rome"", the city, old?"\r\n'
    )


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "oasst.trees.jsonl"
    with pytest.raises(FileNotFoundError, match=r"the trees must exist, but do not; fetch \*\.tr"):
        list(read_roots(path))
    good = json.dumps(oasst.tree("t", "Is Rome old?"))
    for bad, message in [
        ("version https://git-lfs", r":2: a line must be a message tree in JSON, but is 'version"),
        (json.dumps(oasst.message("m", "a")), r":2: a line must be .* not \*\.messages\.jsonl"),
        (
            json.dumps({**oasst.message("m", "a"), "message_tree_id": "m"}),
            r":2: a line must be a message tree with 'message_tree_id' and 'prompt', but is",
        ),
        ("[]", r":2: a line must be a message tree with .*, but is '\[\]\\n'"),
        (
            '{"message_tree_id": "t9", "prompt": {"text": 3}}',
            r":2: 'prompt' must be a message .*t9",
        ),
    ]:
        path.write_text(f"{good}\n{bad}\n")
        with pytest.raises(ValueError, match=message):
            list(read_roots(path))
    path.write_bytes(gzip.compress(f"{good}\n".encode() * 500)[:-20])
    with pytest.raises(ValueError, match=r"readable to their end, but behind line \d+: Compressed"):
        list(read_roots(path))


def test_mistakes_end_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trees = write(tmp_path)
    german = oasst.write_trees(tmp_path / "de.jsonl", [oasst.tree("t", "Ist Rom alt?", lang="de")])
    message = error(monkeypatch, capsys, german, tmp_path / "out", "--speakers", 1)
    assert message == (
        "error: At least one tree must give a prompt, but none of 1 does: 1 not English."
    )
    assert not (tmp_path / "out").exists()
    message = error(monkeypatch, capsys, trees, tmp_path, "--speakers", 1)
    assert "the output must be a new folder, because speakers may have the sheets" in message
    message = error(monkeypatch, capsys, trees, tmp_path / "out", "--speakers", 0)
    assert "argument --speakers: must be a positive integer, but is '0'" in message
    most = ("--speakers", 1, "--prompts-per-speaker", 201)
    message = error(monkeypatch, capsys, trees, tmp_path / "out", *most)
    assert "argument --prompts-per-speaker: must be at most 200, but is 201" in message


DOCUMENT = Path(__file__).parents[2] / "docs/evaluation.md"


@pytest.mark.parametrize("script", [prepare_realsqa, collect_realsqa])
def test_the_document_lists_every_option(script: ModuleType) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    flags = [flag for action in script._parser()._actions for flag in action.option_strings]
    assert "--speakers" in flags or "--accept" in flags
    missing = [flag for flag in flags if f"| `{flag}` |" not in document]
    assert set(missing) == {"-h", "--help"}


def test_the_document_lists_every_rule_and_every_problem() -> None:
    """The first column of its tables has them."""
    document = DOCUMENT.read_text(encoding="utf-8")
    reasons = [
        value
        for module in (realsqa.selection, realsqa.speakable)
        for name, value in vars(module).items()
        if name[0].isupper() and isinstance(value, str)
    ]
    cells = [set(re.split(r"[;,] ", cell)) for cell in re.findall(r"^\| (.+?) \|", document, re.M)]
    told = set[str]().union(*cells)
    assert len(reasons) > 15
    assert [reason for reason in reasons if reason not in told] == []
    assert [problem for problem in WAY_OUT if problem not in told] == []
