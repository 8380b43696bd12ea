"""The report: numbers worked out by hand, and pairs that are pairs."""

import sys
from pathlib import Path

import pytest
import report_responses

from fairseq_audiochat.data.manifest import Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, ResponseHeader

ANSWERS = [
    Response("u0", [1, 5], [7] * 2, "I apologize for that", "eos"),
    Response("u1", [1, 5], [7] * 4, "I apologize for all *of* it", "length"),
    Response("u2", [1, 5], [7] * 6, "It is\nred | blue", "eos"),
    Response("u3", [1, 5], [], "", "eos"),
    Response("u4", [1, 5], [7], "No.", "eos", "refusal"),
    Response("u5", [1, 5], [], "", "", "empty transcript"),
]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [Utterance(row.id, "none.wav", 1, f"say [{row.id}]") for row in ANSWERS]
    write_manifest(tmp_path / "dev.tsv", rows)
    lines = [ResponseHeader({}, {}).to_json(), *(row.to_json() for row in ANSWERS)]
    path = tmp_path / "dev.responses.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "dev.tsv"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["report_responses.py", *map(str, arguments)])
    report_responses.main()


def test_the_numbers(manifest: Path, monkeypatch, capsys: pytest.CaptureFixture):
    run(monkeypatch, manifest)
    output = capsys.readouterr().out
    # Without the excluded: 2, 4, 6 and 0 tokens; 95 % lies 0.85 of the way from 4 to 6.
    for line in (
        "# dev.responses.jsonl",
        "| responses | 4 |",
        "| tokens | 12 |",
        "| tokens each, mean | 3.0 |",
        "| shortest, median, 95 %, longest | 0, 3, 6, 6 |",
        "| ended by length | 1 (25.0 %) |",
        "| excluded | 2 (33.3 %) |",
        "| - refusal | 1 |",
        "| - empty transcript | 1 |",
        "| I apologize for | 2 (50.0 %) |",
        "| (empty) | 1 (25.0 %) |",
    ):
        assert line in output.splitlines()


def test_the_pairs(manifest: Path, monkeypatch, capsys: pytest.CaptureFixture):
    run(monkeypatch, manifest)
    table = capsys.readouterr().out.partition("## 6 pairs, drawn with seed 1\n")[2].splitlines()
    assert table[3:] == [
        r"| u0 | say \[u0\] | I apologize for that |",
        r"| u1 | say \[u1\] | I apologize for all \*of\* it ... |",
        r"| u2 | say \[u2\] | It is red \| blue |",
        r"| u3 | say \[u3\] |  |",
        r"| u4 | say \[u4\] | No. *(excluded: refusal)* |",
        r"| u5 | say \[u5\] | *(excluded: empty transcript)* |",
    ]


def test_the_same_seed_draws_the_same_pairs(manifest: Path, monkeypatch, capsys):
    outputs = []
    for seed in (1, 1, 2):
        run(monkeypatch, manifest, "--pairs", 2, "--seed", seed)
        outputs.append(capsys.readouterr().out.partition("## 2 pairs")[2].splitlines()[4:])
    assert outputs[0] == outputs[1] != outputs[2]


def test_files_are_written(manifest: Path, monkeypatch, capsys, tmp_path: Path):
    run(monkeypatch, manifest, "--output", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert text == capsys.readouterr().out
    assert "![Lengths of the responses](lengths.png)" in text
    assert (tmp_path / "report" / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_named(manifest: Path, monkeypatch, capsys, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, manifest, "--output", tmp_path / "report")
    assert "pip install 'fairseq-audiochat[plot]'" in capsys.readouterr().err


def test_without_responses_the_way_out_is_named(tmp_path: Path, monkeypatch, capsys):
    write_manifest(tmp_path / "dev.tsv", [Utterance("u0", "none.wav", 1, "what")])
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, tmp_path / "dev.tsv")
    assert "make them with data_prep/generate_responses.py" in capsys.readouterr().err
