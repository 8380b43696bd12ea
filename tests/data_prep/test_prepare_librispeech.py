"""LibriSpeech: the layout, lower case, and the errors."""

import sys
from pathlib import Path

import prepare_librispeech
import pytest
from speech import record

from fairseq_audiochat.data.manifest import Manifest


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    """Two chapters, the second one's transcripts written first."""
    folder = tmp_path / "LibriSpeech/dev-clean"
    record(folder / "20/7/20-7-0000.flac", 32_000)
    (folder / "20/7/20-7.trans.txt").write_text("20-7-0000 THERE'S IRON THEY SAY\n")
    record(folder / "10/5/10-5-0000.flac", 16_000)
    record(folder / "10/5/10-5-0002.flac", 16_000)
    (folder / "10/5/10-5.trans.txt").write_text("10-5-0000 YES SIR\n10-5-0001 NO\n")
    return tmp_path / "LibriSpeech"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    argv = ["prepare_librispeech.py", *map(str, arguments), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", argv)
    prepare_librispeech.main()


def test_layout(librispeech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted by speaker and chapter; lower case, as Multilingual LibriSpeech is.

    Frames by hand: 1 s: 98 = 1 + 15600 // 160; 2 s: 198 = 1 + 31600 // 160.
    """
    run(monkeypatch, librispeech, tmp_path / "out", "--splits", "dev-clean")
    folder = librispeech / "dev-clean"
    assert [tuple(row) for row in Manifest(tmp_path / "out/dev-clean.tsv")] == [
        ("10-5-0000", f"{folder}/10/5/10-5-0000.flac", 98, "yes sir", "10"),
        ("20-7-0000", f"{folder}/20/7/20-7-0000.flac", 198, "there's iron they say", "20"),
    ]
    assert (tmp_path / "out/dev-clean.left_out.tsv").read_text().splitlines()[1:] == [
        f"10-5-0001\t{folder}/10/5/10-5-0001.flac\tno audio file\t",
        f"10-5-0002\t{folder}/10/5/10-5-0002.flac\tno transcript\t",
    ]


def error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """What the script says, when it ends with exit code 2 and one sentence."""
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_missing_split_is_named_before_another_is_begun(
    librispeech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    splits = ["--splits", "dev-clean", "test-clean"]
    assert error(monkeypatch, capsys, librispeech, tmp_path / "out", *splits) == (
        f"error: {librispeech}/test-clean: the folder must hold <speaker>/<chapter>/*.trans.txt, "
        "but does not; LIBRISPEECH_DIR must be the folder with the splits in it."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"OF ANOTHER LINE", "'OF ANOTHER LINE'"),
        (b"10-5-../x YES", "'10-5-../x YES'"),
        (b"11-5-0000 OF ANOTHER SPEAKER", "'11-5-0000 OF ANOTHER SPEAKER'"),
    ],
)
def test_bad_lines_are_named(
    librispeech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: bytes,
    value: str,
) -> None:
    path = librispeech / "dev-clean/10/5/10-5.trans.txt"
    path.write_bytes(path.read_bytes() + line + b"\n")
    splits = ["--splits", "dev-clean"]
    assert error(monkeypatch, capsys, librispeech, tmp_path / "out", *splits) == (
        f"error: {path}:3: a line must be '10-5-<number>', a blank and the text, but is {value}; a "
        "transcript may hold no line break."
    )


def test_utterance_without_text_is_left_out(
    librispeech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = librispeech / "dev-clean/20/7/20-7.trans.txt"
    path.write_text("20-7-0000\n")
    run(monkeypatch, librispeech, tmp_path / "out", "--splits", "dev-clean")
    assert (
        "20-7-0000.flac\tempty transcript" in (tmp_path / "out/dev-clean.left_out.tsv").read_text()
    )


def test_other_encodings_are_refused(
    librispeech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (librispeech / "dev-clean/10/5/10-5.trans.txt").write_bytes(b"10-5-0000 \xc9T\xc9\n")
    message = error(monkeypatch, capsys, librispeech, tmp_path, "--splits", "dev-clean")
    assert "10-5.trans.txt: transcripts must be UTF-8 text, but: " in message
