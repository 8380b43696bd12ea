"""Multilingual LibriSpeech: the layout, its limited-supervision parts, and the errors."""

import sys
from pathlib import Path

import prepare_mls
import pytest
from speech import record, truncate

from fairseq_audiochat.data.manifest import Manifest


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def mls(tmp_path: Path) -> Path:
    """Three utterances to train with, one of them opus; dev has one without a transcript."""
    folder = tmp_path / "mls_english"
    write(
        folder / "train/transcripts.txt",
        "10_20_000000\tthere's iron they say",
        "10_20_000001\ta half-tone",
        "11_21_000000\tsaid mister hale",
    )
    record(folder / "train/audio/10/20/10_20_000000.flac", 16_000)
    record(folder / "train/audio/10/20/10_20_000001.opus", 24_000)
    record(folder / "train/audio/11/21/11_21_000000.flac", 32_000)
    write(folder / "dev/transcripts.txt", "12_22_000000\tyes")
    record(folder / "dev/audio/12/22/12_22_000000.flac")
    record(folder / "dev/audio/12/22/12_22_000001.flac")
    limited = folder / "train/limited_supervision"
    write(limited / "9hr/handles.txt", "11_21_000000", "10_20_000000", "99_99_000000")
    for part in range(6):
        write(limited / f"1hr/{part}/handles.txt", f"10_20_{part:06d}")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    argv = ["prepare_mls.py", *map(str, arguments), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", argv)
    prepare_mls.main()


def test_layout(mls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames by hand: 1 s: 98 = 1 + 15600 // 160; 1.5 s: 148 = 1 + 23600 // 160; 2 s: 198."""
    run(monkeypatch, mls, tmp_path / "out", "--splits", "train", "dev")
    rows = [tuple(row) for row in Manifest(tmp_path / "out/train.tsv")]
    audio = f"{mls}/train/audio"
    assert rows == [
        ("10_20_000000", f"{audio}/10/20/10_20_000000.flac", 98, "there's iron they say", "10"),
        ("10_20_000001", f"{audio}/10/20/10_20_000001.opus", 148, "a half-tone", "10"),
        ("11_21_000000", f"{audio}/11/21/11_21_000000.flac", 198, "said mister hale", "11"),
    ]
    assert [row.id for row in Manifest(tmp_path / "out/dev.tsv")] == ["12_22_000000"]
    unlisted = f"12_22_000001\t{mls}/dev/audio/12/22/12_22_000001.flac\tno transcript\t\n"
    assert (tmp_path / "out/dev.left_out.tsv").read_text().endswith("detail\n" + unlisted)


def test_summary_is_printed(
    mls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(mls / "train/audio/10/20/10_20_000001.opus")
    run(monkeypatch, mls, tmp_path / "out", "--splits", "train")
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/out/train.tsv: 2 utterances kept (0.00 hours), 1 not",
        "        1 left out: audio that cannot be read",
    ]


def test_limited_supervision(mls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handles choose from the training transcripts, in their order; unknown ones are reported."""
    out = tmp_path / "out"
    run(monkeypatch, mls, out, "--splits", "--limited", "9hr", "1hr/1", "1hr")
    assert [row.id for row in Manifest(out / "train_9hr.tsv")] == ["10_20_000000", "11_21_000000"]
    assert "99_99_000000\t\tno transcript" in (out / "train_9hr.left_out.tsv").read_text()
    assert [row.id for row in Manifest(out / "train_1hr_1.tsv")] == ["10_20_000001"]
    assert [row.id for row in Manifest(out / "train_1hr.tsv")] == ["10_20_000000", "10_20_000001"]
    assert not (out / "train.tsv").exists()


def error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """What the script says, when it ends with exit code 2 and one sentence."""
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("10_20_000002 a line without a tab", "'10_20_000002 a line without a tab'"),
        ("the second line of a transcript", "'the second line of a transcript'"),
        ("../../etc_1_2\tno id", "'../../etc_1_2\\tno id'"),
        ("10-20-000002\tof another corpus", "'10-20-000002\\tof another corpus'"),
        ("", "''"),
    ],
)
def test_bad_lines_are_named_before_anything_is_decoded(
    mls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    value: str,
) -> None:
    with open(mls / "train/transcripts.txt", "a") as file:
        file.write(line + "\n")
    assert error(monkeypatch, capsys, mls, tmp_path / "out", "--splits", "train") == (
        f"error: {mls}/train/transcripts.txt:4: a line must be '<speaker>_<book>_<number>', a tab "
        f"and the text, but is {value}; a transcript may hold no line break."
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_missing_files_are_named(
    mls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first split is begun."""
    out = tmp_path / "out"
    for arguments, name in [
        ([mls, out], "mls_english/test/transcripts.txt"),
        ([tmp_path, out], "train/transcripts.txt"),
    ]:
        message = error(monkeypatch, capsys, *arguments)
        assert message.startswith(f"error: {tmp_path}/{name}: the file must exist, but does not;")
        assert "MLS_DIR must be the folder of one language, such as mls_english" in message
    (mls / "train/limited_supervision/9hr/handles.txt").unlink()
    message = error(monkeypatch, capsys, mls, out, "--splits", "--limited", "9hr")
    assert "9hr/handles.txt: the file must exist, but does not" in message
    assert not out.exists()


def test_other_mistakes_are_named(
    mls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    message = error(monkeypatch, capsys, mls, out, "--splits")
    assert message == "error: --splits or --limited must name something, but both are empty."
    (mls / "train/limited_supervision/1hr/0/handles.txt").write_text("\n")
    message = error(monkeypatch, capsys, mls, out, "--splits", "--limited", "1hr/0")
    assert message.endswith("1hr/0: there must be at least one handle, but is none.")
    (mls / "train/transcripts.txt").write_bytes(b"10_20_000000\t\xe9t\xe9\n")
    message = error(monkeypatch, capsys, mls, out, "--splits", "train")
    assert "train/transcripts.txt: transcripts must be UTF-8 text, but: " in message
    message = error(monkeypatch, capsys, mls, out, "--workers", "0")
    assert "argument --workers: must be a positive integer, but is '0'" in message
    (tmp_path / "file").write_text("")
    message = error(monkeypatch, capsys, mls, tmp_path / "file", "--splits", "dev")
    assert message.startswith("error: ")
    assert "file" in message


def test_ctrl_c_says_how_to_go_on(
    mls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("manifest_script.prepare", interrupted)
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, mls, tmp_path / "out", "--splits", "dev")
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "stopped: run the same command again to go on\n"


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "--help")
    assert stopped.value.code == 0
    assert "--limited" in capsys.readouterr().out
