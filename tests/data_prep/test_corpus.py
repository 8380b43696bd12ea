"""What all corpora share: every loss has its reason, and a stopped run goes on."""

import json
import os
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import corpus
import numpy as np
import processes
import pytest
import recordings
import soundfile
from corpus import Entry, LeftOut, Split, prepare
from recordings import decode_all
from scan_journal import Recording, ScanJournal
from speech import record, truncate

from fairseq_audiochat.data.manifest import Manifest


def entries_of(folder: Path, number: int) -> list[Entry]:
    """Recordings of 0.1 s, 0.2 s and so on."""
    return [
        Entry(f"u{i}", str(record(folder / f"u{i}.flac", 1_600 * (i + 1))), f"word {i}", "s")
        for i in range(number)
    ]


def split_of(entries: list[Entry]) -> Split:
    return Split("train", lambda: entries, lambda ids: [])


def report(folder: Path) -> list[list[str]]:
    lines = (folder / "train.left_out.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded."""
    names: list[str] = []

    def read_and_note(audio: str) -> np.ndarray:
        names.append(Path(audio).name)
        return read_audio(audio)

    read_audio = recordings.read_audio
    monkeypatch.setattr(recordings, "read_audio", read_and_note)
    return names


def test_kept_utterances_are_in_the_manifest(tmp_path: Path) -> None:
    """0.1 s = 1,600 samples: 1 + floor((1600 - 400) / 160) = 8 frames; 0.2 s: 18; 0.3 s: 28."""
    entries = entries_of(tmp_path / "audio", 3)
    summary = prepare(split_of(entries), tmp_path / "out", workers=1)
    rows = list(Manifest(tmp_path / "out/train.tsv"))
    assert [row.n_frames for row in rows] == [8, 18, 28]
    assert [(row.id, row.audio, row.text, row.speaker) for row in rows] == entries
    assert (summary.kept, summary.frames, summary.left_out) == (3, 54, [])
    assert report(tmp_path / "out") == [["id", "audio", "reason", "detail"]]


def test_every_loss_has_its_reason(tmp_path: Path) -> None:
    good, duplicate, empty, tab, missing, cut, short, nan = entries_of(tmp_path, 8)
    os.unlink(missing.audio)
    truncate(Path(cut.audio))
    assert soundfile.info(cut.audio).frames == 1_600 * 6, "from outside it must look whole"
    record(Path(short.audio), 399)
    soundfile.write(tmp_path / "nan.wav", np.full(999, np.nan, np.float32), 16_000, "FLOAT")
    entries = [
        good,
        duplicate._replace(id=good.id),
        empty._replace(text=" \u00a0"),
        tab._replace(text="a\tb"),
        missing,
        cut,
        short,
        nan._replace(audio=str(tmp_path / "nan.wav")),
    ]
    unlisted = [LeftOut("x", "x.flac", corpus.NO_TRANSCRIPT)]
    summary = prepare(Split("train", lambda: entries, lambda ids: unlisted), tmp_path, workers=1)
    rows = report(tmp_path)[1:]
    assert [(row[0], row[2]) for row in rows] == [
        ("u0", "duplicate id"),
        ("u2", "empty transcript"),
        ("u3", "tab or line break in the transcript"),
        ("u4", "no audio file"),
        ("u5", "audio that cannot be read"),
        ("u6", "audio shorter than 25 ms"),
        ("u7", "audio that cannot be read"),
        ("x", "no transcript"),
    ]
    assert [row[1] for row in rows[1:7]] == [entry.audio for entry in entries[2:]]
    assert "u5.flac: the audio must be decodable" in rows[4][3]
    assert "nan.wav: samples must be finite, but 999 are NaN" in rows[6][3]
    assert [row.id for row in Manifest(tmp_path / "train.tsv")] == ["u0"]
    assert str(summary).splitlines() == [
        "1 utterances kept (0.00 hours), 8 not",
        "        1 left out: duplicate id",
        "        1 left out: empty transcript",
        "        1 left out: tab or line break in the transcript",
        "        1 left out: no audio file",
        "        2 left out: audio that cannot be read",
        "        1 left out: audio shorter than 25 ms",
        "        1 left out: no transcript",
    ]


def test_audio_below_the_manifest_is_relative(tmp_path: Path) -> None:
    """So that corpus and manifests can move together."""
    prepare(split_of(entries_of(tmp_path / "audio", 1)), tmp_path, workers=1)
    assert "\taudio/u0.flac\t" in (tmp_path / "train.tsv").read_text()
    prepare(split_of(entries_of(tmp_path / "audio", 1)), tmp_path / "aud", workers=1)
    assert f"\t{tmp_path}/audio/u0.flac\t" in (tmp_path / "aud/train.tsv").read_text()


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    entries = [Entry("a", str(tmp_path / "no.flac"), "yes", "s")]
    with pytest.raises(
        ValueError,
        match=r"train: at least one utterance must be usable, but none of 1 is; "
        r".*train\.left_out\.tsv says why",
    ):
        prepare(split_of(entries), tmp_path, workers=1)
    assert not (tmp_path / "train.tsv").exists()
    assert report(tmp_path)[1][2] == "no audio file"


def stopping(entries: list[Entry]) -> Iterator[Entry]:
    yield from entries
    raise KeyboardInterrupt


def test_stopped_run_goes_on(tmp_path: Path, decoded: list[str]) -> None:
    """Stopped in the fourth recording; the kill cut the third's line in the journal in half."""
    entries = entries_of(tmp_path / "audio", 6)
    passes = iter([entries, stopping(entries[:3])])  # the first pass only counts
    with pytest.raises(KeyboardInterrupt):
        prepare(Split("train", lambda: next(passes), lambda ids: []), tmp_path / "out", workers=1)
    assert os.listdir(tmp_path / "out") == ["train.scan.jsonl"], "nothing half-written"
    truncate(tmp_path / "out/train.scan.jsonl", 20)
    assert decoded == ["u0.flac", "u1.flac", "u2.flac"]
    decoded.clear()
    prepare(split_of(entries), tmp_path / "out", workers=1)
    assert decoded == ["u2.flac", "u3.flac", "u4.flac", "u5.flac"]
    prepare(split_of(entries), tmp_path / "fresh", workers=1)
    assert (tmp_path / "out/train.tsv").read_text() == (tmp_path / "fresh/train.tsv").read_text()
    lines = (tmp_path / "out/train.scan.jsonl").read_text().splitlines()
    assert [json.loads(line).get("outcome") for line in lines] == [None, 8, 18, 28, 38, 48, 58]


def test_only_changed_recordings_are_decoded_again(tmp_path: Path, decoded: list[str]) -> None:
    """A broken file that was fetched again counts as it is now."""
    entries = entries_of(tmp_path, 3)
    whole = Path(entries[1].audio).read_bytes()
    truncate(Path(entries[1].audio))
    assert prepare(split_of(entries), tmp_path, workers=1).kept == 2
    decoded.clear()
    assert prepare(split_of(entries), tmp_path, workers=1).kept == 2
    assert decoded == []
    Path(entries[1].audio).write_bytes(whole)
    assert prepare(split_of(entries), tmp_path, workers=1).kept == 3
    assert decoded == ["u1.flac"]


def test_file_systems_error_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system that fails today may work tomorrow, with the file unchanged."""
    entries = entries_of(tmp_path, 2)

    def fail(audio: str) -> None:
        if audio == entries[0].audio:
            raise OSError(5, "Input/output error", audio)
        return read_audio(audio)

    read_audio = recordings.read_audio
    with monkeypatch.context() as patch:
        patch.setattr(recordings, "read_audio", fail)
        assert prepare(split_of(entries), tmp_path, workers=1).kept == 1
    assert report(tmp_path)[1][2:] == [
        "audio that cannot be read",
        f"[Errno 5] Input/output error: '{entries[0].audio}'",
    ]
    assert prepare(split_of(entries), tmp_path, workers=1).kept == 2


def test_processes_change_nothing(tmp_path: Path) -> None:
    """40 recordings are three tasks: results come in order, from whichever process."""
    paths = [str(record(tmp_path / f"{i}.flac", 16_000 - 160 * i)) for i in range(40)]
    truncate(Path(paths[7]))
    items = list(enumerate([*paths[:20], None, *paths[20:], str(tmp_path / "no.flac")]))

    def plain(workers: int) -> list[tuple[int, str]]:
        return [(i, str(outcome)) for i, outcome in decode_all(items, workers)]

    outcomes = plain(workers=1)
    assert plain(workers=2) == outcomes
    assert outcomes[:2] == [(0, "98"), (1, "97")]  # 1 + floor((16000 - 400) / 160), one less
    assert "7.flac: the audio must be decodable" in outcomes[7][1]
    assert outcomes[20] == (20, "None")


def test_killed_worker_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel does when memory runs out."""

    class BrokenPool:
        def __init__(self, *_: object, **__: object) -> None: ...

        def submit(self, *_: object) -> None:
            raise BrokenProcessPool("A process in the process pool was terminated abruptly")

        def shutdown(self, **_: object) -> None: ...

    monkeypatch.setattr(processes, "ProcessPoolExecutor", BrokenPool)
    with pytest.raises(ValueError, match=r"one was killed .*; run the same command again to go on"):
        prepare(split_of(entries_of(tmp_path, 1)), tmp_path / "out", workers=2)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"format": "other"}\n', 1),
        (b'{"format": "fairseq_audiochat.scan/1"}\nno json\n', 2),
        (b'{"format": "fairseq_audiochat.scan/1"}\n{"audio": "a"}\n', 2),
        (b'{"format": "fairseq_audiochat.scan/1"}\n\xff\n', 2),
    ],
)
def test_other_files_are_no_journal(tmp_path: Path, content: bytes, line: int) -> None:
    """And are not written to."""
    path = tmp_path / "train.scan.jsonl"
    path.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=rf"jsonl:{line}: the journal must hold a scan's results, but this line is .*; delete "
        r"the file to decode the recordings anew",
    ):
        ScanJournal(path)
    assert path.read_bytes() == content


def test_journal_holds_files_with_any_name(tmp_path: Path) -> None:
    recording = Recording.of(str(record(tmp_path / "l'été \u2028\n.flac")))
    with ScanJournal(tmp_path / "train.scan.jsonl") as journal:
        journal.add(recording, 98)
    with ScanJournal(tmp_path / "train.scan.jsonl") as journal:
        assert journal.get(recording) == 98
        assert journal.get(recording._replace(size=1)) is None
        assert journal.get(recording._replace(mtime_ns=1)) is None
