"""Recordings of people: every file has its verdict, and the good ones are in the manifest."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import collect_realsqa
import numpy as np
import pytest
import realsqa.collection
import soundfile
import torch
import torchaudio
from realsqa.measuring import Measures, measure
from realsqa.verdicts import WAY_OUT, problems_of
from speech import truncate

from fairseq_audiochat.data.manifest import Manifest

PROMPTS = [
    "id\ttext\tspeaker\tnames\ttree",
    "q0001\tIs Rome in Italy?\tben\tRome; Italy\tt1",  # 17 characters: 0.57 to 8.4 s
    "q0002\tIs Oslo bigger than 20 years ago?\tanna\tOslo\tt2",  # 33 characters: 1.1 to 11.6 s
    "q0003\tIs Rome old?\tanna\tRome\tt3",  # 12 characters: 0.4 to 7.4 s
    "q0004\tIs Bari old?\t\tBari\tt4",
]


def noise(seconds: float, seed: int, rate: int = 16_000) -> np.ndarray:
    """White noise between -0.5 and 0.5: RMS 0.5 / sqrt(3) = 0.289, or -10.8 dB."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))


def record(path: Path, seconds: float = 2.0, seed: int = 0, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, seed or len(path.stem), rate), rate)
    return path


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "realsqa"
    folder.mkdir()
    (folder / "prompts.tsv").write_text("\n".join(PROMPTS) + "\n")
    return folder


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """All that was asked for, well recorded."""
    folder = tmp_path / "recordings"
    record(folder / "ben/q0001.wav", 2.0, seed=1)
    record(folder / "anna/q0002.flac", 3.0, seed=2, rate=48_000)
    record(folder / "anna/q0003.wav", 1.0, seed=3)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    argv = ["collect_realsqa.py", *map(str, arguments), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", argv)
    collect_realsqa.main()


def error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """What the script says, when it ends with exit code 2 and one sentence."""
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def table(path: Path) -> list[dict[str, str]]:
    header, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def verdicts(folder: Path) -> list[tuple[str, ...]]:
    rows = table(folder / "realsqa.report.tsv")
    return [tuple(row[name] for name in ("prompt", "file", "verdict", "problems")) for row in rows]


def test_good_recordings_are_in_the_manifest(
    prepared: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Frames by hand: 1 + floor((samples - 400) / 160) at 16 kHz: 3 s: 298, 1 s: 98, 2 s: 198."""
    lines = ["speaker\taccent\troom", "anna\tscottish\t", "ben\t\t"]
    (prepared / "speakers.tsv").write_text("\n".join(lines) + "\n")
    run(monkeypatch, prepared, recordings, tmp_path / "out")
    rows = [tuple(row) for row in Manifest(tmp_path / "out/realsqa.tsv")]
    assert rows == [
        ("anna_q0002", f"{recordings}/anna/q0002.flac", 298, PROMPTS[2].split("\t")[1], "anna"),
        ("anna_q0003", f"{recordings}/anna/q0003.wav", 98, "Is Rome old?", "anna"),
        ("ben_q0001", f"{recordings}/ben/q0001.wav", 198, "Is Rome in Italy?", "ben"),
    ]
    further = ("prompt", "words", "names", "digits", "sample_rate", "accent")
    manifest = table(tmp_path / "out/realsqa.tsv")
    assert [tuple(row[name] for name in further) for row in manifest] == [
        ("q0002", "7", "1", "yes", "48000", "scottish"),
        ("q0003", "3", "1", "no", "16000", "scottish"),
        ("q0001", "4", "2", "no", "16000", "unknown"),
    ]
    assert "room" not in manifest[0]  # nobody filled it in
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/out/realsqa.tsv: 3 of 3 files are good (0.1 minutes)",
        f"{tmp_path}/out/realsqa.report.md says what to do",
    ]


def samples_of(kind: str) -> np.ndarray:
    """Two seconds with one fault, at 16 kHz."""
    good = noise(2, 1)
    if kind == "clipped":
        good[100:107] = 1.0  # 7 of 32,000 samples: more than 1 in 5,000, which 6 are not
    if kind == "one peak":
        good[100:106] = -1.0
    if kind == "quiet":
        good *= 0.017  # -10.8 dB - 35.4 dB = -46.2 dB; the loudest 100 ms have 0.2 more
    if kind == "narrow":
        down = torchaudio.functional.resample(torch.from_numpy(good), 16_000, 8_000)
        good = torchaudio.functional.resample(down, 8_000, 16_000).numpy()
    return good


def write(kind: str) -> Callable[[Path], object]:
    return lambda path: soundfile.write(path, samples_of(kind), 16_000, "FLOAT")


@pytest.mark.parametrize(
    ("make", "problem", "found"),
    [
        (write("good"), "", ""),
        (write("one peak"), "", ""),
        (write("clipped"), "clipped", "0.022% of the samples, at most 0.020%"),
        (write("quiet"), "silent", "-46 dB, at least -45"),
        (write("narrow"), "narrow band", " dB above 5 kHz, at least -43"),
        (lambda path: record(path, 0.5), "too short", "0.5 s, at least 0.6"),
        (lambda path: record(path, 8.5), "too long", "8.5 s, at most 8.4"),
        (lambda path: record(path, 2, rate=8_000), "low sample rate", "8000 Hz, at least 16000"),
        (lambda path: soundfile.write(path, np.zeros(32_000), 16_000), "silent", "-200 dB"),
        (lambda path: record(path, 0.02), "unreadable", "0.02 s are shorter than one frame"),
        (lambda path: truncate(record(path)), "unreadable", "lacks 1000; the file is truncated"),
        (lambda path: path.write_bytes(b""), "unreadable", "the audio must be decodable, but"),
        (lambda path: path.write_bytes(b"hello" * 99), "unreadable", "must be decodable"),
    ],
)
def test_each_check_of_a_file(
    prepared: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], object],
    problem: str,
    found: str,
) -> None:
    make(recordings / "ben/q0001.wav")
    run(monkeypatch, prepared, recordings, tmp_path)
    *good, judged = table(tmp_path / "realsqa.report.tsv")
    assert [row["verdict"] for row in good] == ["good", "good"]
    assert (judged["prompt"], judged["problems"]) == ("q0001", problem)
    assert judged["verdict"] == ("bad" if problem else "good")
    assert found in judged["found"]
    ids = [row.id for row in Manifest(tmp_path / "realsqa.tsv")]
    assert ids == ["anna_q0002", "anna_q0003"] + ([] if problem else ["ben_q0001"])
    if problem:
        page = (tmp_path / "realsqa.report.md").read_text()
        assert f"| {problem} | 1 | {WAY_OUT[problem]} |" in page
        assert f"| ben/q0001.wav | {problem} |" in page


def test_files_and_prompts_that_do_not_belong_together(
    prepared: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Upper case and folders below a speaker's do not matter; the unit of each count is a file."""
    (recordings / "ben/q0001.wav").unlink()
    shutil.move(recordings / "anna", recordings / "Anna")
    shutil.move(recordings / "Anna/q0003.wav", recordings / "Anna/Q0003.WAV")
    record(recordings / "Anna/again/q0002.wav")
    record(recordings / "Anna/q0001.wav")
    record(recordings / "Anna/q0003 (1).wav")
    record(recordings / "carl/q0003.wav")
    record(recordings / "q0001.wav")
    (recordings / "Anna/notes | plan.txt").write_text("to do")
    run(monkeypatch, prepared, recordings, tmp_path / "out")
    assert verdicts(tmp_path / "out") == [
        ("q0002", "Anna/again/q0002.wav", "bad", "several files for one prompt"),
        ("q0002", "Anna/q0002.flac", "bad", "several files for one prompt"),
        ("q0003", "Anna/Q0003.WAV", "good", ""),
        ("q0001", "", "missing", "missing"),
        ("", "Anna/notes | plan.txt", "bad", "type of file that is not read"),
        ("", "Anna/q0001.wav", "bad", "no such prompt"),
        ("", "Anna/q0003 (1).wav", "bad", "no such prompt"),
        ("", "carl/q0003.wav", "bad", "no such speaker"),
        ("", "q0001.wav", "bad", "no such speaker"),
    ]
    found = [row["found"] for row in table(tmp_path / "out/realsqa.report.tsv")]
    assert found[:2] == ["also q0002.flac", "also q0002.wav"]
    assert found[4:] == [".txt", "it is on the sheet of ben", "q0003 (1)", "carl", "no folder"]
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/out/realsqa.tsv: 1 of 8 files are good (0.0 minutes)",
        "        2 files: several files for one prompt",
        "        2 files: no such prompt",
        "        2 files: no such speaker",
        "        1 files: type of file that is not read",
        "        1 prompts: missing",
        f"{tmp_path}/out/realsqa.report.md says what to do",
    ]
    page = (tmp_path / "out/realsqa.report.md").read_text().splitlines()
    assert page[4:7] == [
        "| anna | 2 | 1 | 1 | 0 | 0.0 | 0 |",
        "| ben | 1 | 0 | 0 | 1 | 0.0 | 0 |",
        "| all | 3 | 1 | 1 | 1 | 0.0 | 5 |",
    ]
    assert "| Anna/notes \\| plan.txt | type of file that is not read | .txt |" in page
    assert page[-1] == "| ben | q0001 |"


def test_the_same_recording_twice(
    prepared: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another format, too: one of the two prompts was never said, and nobody knows which."""
    samples, rate = soundfile.read(recordings / "ben/q0001.wav")
    soundfile.write(recordings / "anna/q0002.flac", samples, rate)
    run(monkeypatch, prepared, recordings, tmp_path)
    assert verdicts(tmp_path) == [
        ("q0002", "anna/q0002.flac", "bad", "duplicate recording"),
        ("q0003", "anna/q0003.wav", "good", ""),
        ("q0001", "ben/q0001.wav", "bad", "duplicate recording"),
    ]
    found = [row["found"] for row in table(tmp_path / "realsqa.report.tsv")]
    assert found == ["same as ben/q0001.wav", "", "same as anna/q0002.flac"]


def test_problems_can_be_accepted(
    prepared: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And are told all the same."""
    record(recordings / "ben/q0001.wav", 0.4, rate=8_000)
    run(monkeypatch, prepared, recordings, tmp_path, "--accept", "low-sample-rate")
    assert verdicts(tmp_path)[2][2:] == ("bad", "too short; low sample rate (accepted)")
    capsys.readouterr()
    accept = ("--accept", "low-sample-rate", "too-short")
    run(monkeypatch, prepared, recordings, tmp_path, *accept, "--name", "telephone")
    assert len(Manifest(tmp_path / "telephone.tsv")) == 3
    row = table(tmp_path / "telephone.report.tsv")[2]
    assert row["verdict"] == "good"
    assert row["problems"] == "too short (accepted); low sample rate (accepted)"
    assert row["found"] == "0.4 s, at least 0.6; 8000 Hz, at least 16000"
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "        1 of them: too short (accepted)",
        "        1 of them: low sample rate (accepted)",
    ]


def test_every_problem_of_a_file_is_told() -> None:
    measures = Measures(40, 0.4, 8_000, -3.0, 0.5, -60.0, "digest")
    names = [problem.name for problem in problems_of(measures, "Is Rome in Italy?")]
    assert names == ["too short", "clipped", "low sample rate"]  # 8 kHz has no band above


def test_measures_of_a_tone(tmp_path: Path) -> None:
    """A sine of amplitude 0.5 has an RMS of 0.354, -9.0 dB; at 1 kHz nothing is above 5 kHz."""
    seconds = np.arange(24_000) / 48_000
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1_000 * seconds), 48_000)
    measures = measure(str(path))
    assert isinstance(measures, Measures)
    assert measures[:5] == (48, 0.5, 48_000, -9.0, 0.0)  # 1 + (8,000 - 400) // 160 frames
    assert measures.high_band_db < -60
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 6_000 * seconds), 48_000)
    measures = measure(str(path))
    assert isinstance(measures, Measures)
    assert measures.high_band_db > 60


def test_a_stopped_run_goes_on(
    prepared: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what was not read before, or has changed, is read."""
    read: list[str] = []

    def stopped_at(name: str) -> Callable[[str], object]:
        def measure_and_note(path: str) -> object:
            if Path(path).name == name:
                raise KeyboardInterrupt
            read.append(Path(path).name)
            return measure(path)

        return measure_and_note

    monkeypatch.setattr(realsqa.collection, "measure", stopped_at("q0001.wav"))
    with pytest.raises(SystemExit, match="130"):
        run(monkeypatch, prepared, recordings, tmp_path)
    assert read == ["q0002.flac", "q0003.wav"]
    assert not (tmp_path / "realsqa.tsv").exists()
    with open(tmp_path / "realsqa.scan.jsonl", "a") as file:
        file.write('{"audio": "cut by a ki')  # a line that is not whole
    read.clear()
    monkeypatch.setattr(realsqa.collection, "measure", stopped_at(""))
    run(monkeypatch, prepared, recordings, tmp_path)
    assert read == ["q0001.wav"]
    first = (tmp_path / "realsqa.tsv").read_bytes(), (tmp_path / "realsqa.report.tsv").read_bytes()
    read.clear()
    run(monkeypatch, prepared, recordings, tmp_path)
    assert read == []
    record(recordings / "anna/q0003.wav", 1.5)
    run(monkeypatch, prepared, recordings, tmp_path)
    assert read == ["q0003.wav"]
    record(recordings / "anna/q0003.wav", 1.0, seed=3)
    run(monkeypatch, prepared, recordings, tmp_path)
    assert first == (
        (tmp_path / "realsqa.tsv").read_bytes(),
        (tmp_path / "realsqa.report.tsv").read_bytes(),
    )


def test_mistakes_end_in_one_sentence(
    prepared: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"

    def says(prepared: Path, recordings: Path, *options: str) -> str:
        return error(monkeypatch, capsys, prepared, recordings, out, *options)

    assert "none: the folder of the recordings must exist" in says(prepared, tmp_path / "none")
    assert "prompts.tsv: the table must exist, but does not; use the folder that" in says(
        tmp_path, recordings
    )
    message = says(prepared, recordings, "--accept", "silent")
    assert "argument --accept: must be one of too-short, too-long, clipped, " in message
    assert message.endswith("but is 'silent'")
    shutil.rmtree(recordings)
    record(recordings / "dora/q0001.wav")
    message = says(prepared, recordings)
    assert f"{recordings}: at least one recording must be good, but none of 1 is; {out}" in message
    assert "no such speaker" in (out / "realsqa.report.md").read_text()  # says why
    path = prepared / "speakers.tsv"
    path.write_text("speaker\tnames\nanna\t3\n")
    assert "speakers.tsv:1: a column must have a name that the manifest does not use, but is " in (
        says(prepared, recordings)
    )
    path.write_text("name\nanna\n")
    assert "speakers.tsv:1: the header must name the tab-separated columns speaker, but lacks" in (
        says(prepared, recordings)
    )
    path.write_text("speaker\taccent\nanna\n")
    assert "speakers.tsv:2: a row must have 2 tab-separated columns, but has 1: 'anna'" in says(
        prepared, recordings
    )
    path.write_bytes(b"speaker\n\xff\n")
    assert "speakers.tsv: the table must be UTF-8 text, but: " in says(prepared, recordings)
    path.unlink()
    (out / "realsqa.scan.jsonl").write_text('{"format": "fairseq_audiochat.scan/1"}\n')
    assert "realsqa.scan.jsonl:1: the journal must hold a scan's results, but this line is" in says(
        prepared, recordings
    )
    (out / "realsqa.scan.jsonl").unlink()
    (prepared / "prompts.tsv").write_text(f"{PROMPTS[0]}\n{PROMPTS[4]}\n")
    assert "prompts.tsv: a prompt must be on a sheet, but none is; use the folder" in says(
        prepared, recordings
    )


def test_a_disk_that_fails_today_is_no_verdict(
    prepared: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failure = OSError(5, "Input/output error")
    monkeypatch.setattr(realsqa.collection, "measure", lambda path: failure)
    message = error(monkeypatch, capsys, prepared, recordings, tmp_path)
    assert "Input/output error" in message
    monkeypatch.setattr(realsqa.collection, "measure", measure)
    run(monkeypatch, prepared, recordings, tmp_path)
    assert {row[2] for row in verdicts(tmp_path)} == {"good"}
