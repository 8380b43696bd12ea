"""The manifest: what is written is what is read, and every bad row is named."""

import pickle
from pathlib import Path

import pytest

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest

HEADER = "id\taudio\tn_frames\ttgt_text\tspeaker\n"
GOOD = "a\ta.wav\t12\tyes\ts\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "train.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    """Quotes, backslashes, 'NA' and other scripts are plain text, not syntax."""
    texts = ['say "yes', "l'été — ça va", "NA", "null", "\\t is no tab", "# 'quoted'", "日本"]
    rows = [Utterance(f"u{i}", f"/x/{i}.flac", i + 1, text, "") for i, text in enumerate(texts)]
    write_manifest(tmp_path / "train.tsv", rows)
    assert list(Manifest(tmp_path / "train.tsv")) == rows


def test_further_columns_stand_behind_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    rows = [Utterance("a", "/a.wav", 12, "yes", "s"), Utterance("b", "/b.wav", 3, "no")]
    write_manifest(path, rows, {"accent": ["scottish", "welsh"], "room": ["", "hall"]})
    assert path.read_text().splitlines() == [
        "id\taudio\tn_frames\ttgt_text\tspeaker\taccent\troom",
        "a\t/a.wav\t12\tyes\ts\tscottish\t",
        "b\t/b.wav\t3\tno\t\twelsh\thall",
    ]
    assert list(Manifest(path)) == rows
    with pytest.raises(ValueError, match=r"'accent' must not hold a tab .* \(utterance 'a'\)"):
        write_manifest(path, rows[:1], {"accent": ["a\tb"]})


def test_audio_is_relative_to_the_manifest_unless_absolute(tmp_path: Path) -> None:
    path = write(
        tmp_path, HEADER + "a\tx/a.wav\t1\tt\ts\nb\t/b.wav\t1\tt\ts\nc\tz.zip:7:9\t1\tt\ts\n"
    )
    audios = [utterance.audio for utterance in Manifest(path)]
    assert audios == [f"{tmp_path}/x/a.wav", "/b.wav", f"{tmp_path}/z.zip:7:9"]


@pytest.mark.parametrize(
    "content",
    [
        "id\taudio\tn_frames\ttgt_text\na\ta.wav\t12\tyes\n",  # no speaker: fairseq allows it
        "src_text\tid\tn_frames\taudio\ttgt_text\textra\nq\ta\t12\ta.wav\tyes\t-\n",
        (HEADER + GOOD).replace("\n", "\r\n"),
        "\ufeff" + HEADER + GOOD,  # a spreadsheet's byte order mark
        (HEADER + GOOD).rstrip("\n"),
    ],
)
def test_variants_of_the_format_are_read(tmp_path: Path, content: str) -> None:
    (utterance,) = Manifest(write(tmp_path, content))
    assert utterance[:4] == ("a", f"{tmp_path}/a.wav", 12, "yes")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "id\taudio\ttgt_text\n",
            r"train\.tsv:1: the header must name the columns id, audio, n_frames, tgt_text, but "
            r"lacks n_frames; rebuild the manifest with data_prep/",
        ),
        ("", r"train\.tsv:1: the header must name the columns .* lacks id, audio, n_frames"),
        (HEADER, r"train\.tsv: a manifest must have at least one row, but has none"),
        (HEADER.rstrip(), r"train\.tsv: a manifest must have at least one row, but has none"),
        (
            HEADER + GOOD + "b\tb.wav\t\tyes\ts\n",
            r"train\.tsv:3: 'n_frames' must be a positive integer, but is '' \(utterance 'b'\); re",
        ),
        (
            HEADER + "b\tb.wav\t2147483648\tyes\ts\n",
            r":2: 'n_frames' must be at most 2147483647, but is '2147483648' \(utterance 'b'\)",
        ),
        (HEADER + "b\tb.wav\t0\tyes\ts\n", r":2: 'n_frames' must be a positive .* but is '0'"),
        (HEADER + "b\tb.wav\t-1\tyes\ts\n", r":2: 'n_frames' must be a positive .* but is '-1'"),
        (HEADER + "b\tb.wav\t1.5\tyes\ts\n", r":2: 'n_frames' must be a positive .* but is '1\.5'"),
        (
            HEADER + "b\t\t1\tyes\ts\n",
            r":2: 'audio' must not be empty, but is '' \(utterance 'b'\)",
        ),
        (HEADER + "\tb.wav\t1\tyes\ts\n", r":2: 'id' must not be empty, but is ''"),
        (
            HEADER + GOOD + "b\tb.wav\t1\tyes\tno\ts\n",
            r"train\.tsv:3: a row must have 5 tab-separated columns, but has 6: 'b.*; a transcript "
            r"may hold no tab or newline",
        ),
        (
            HEADER + GOOD + "b\tb.wav\t1\tyes\nno\ts\n",
            r"train\.tsv:3: a row must have 5 tab-separated columns, but has 4: 'b",
        ),
        (
            HEADER + GOOD + "b\tb.wav\t1\tyes\ts\n" + GOOD,
            r"train\.tsv:4: 'id' must be unique, but 'a' is already in line 2",
        ),
        (
            (HEADER + "b\tb.wav\t1\tété\ts\n").encode("latin-1"),
            r"train\.tsv: the manifest must be UTF-8 text, but: .*decode byte 0xe9",
        ),
    ],
)
def test_bad_manifests_are_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Manifest(write(tmp_path, content))


def test_empty_transcripts_are_known(tmp_path: Path) -> None:
    """They are no error, because one of ten million must not stop a run; datasets leave them."""
    manifest = Manifest(write(tmp_path, HEADER + GOOD + "b\tb.wav\t1\t \ts\nc\tc.wav\t1\t\ts\n"))
    assert manifest.without_text().tolist() == [False, True, True]


def test_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no\.tsv: the file must exist, but does not; check"
    ):
        Manifest(tmp_path / "no.tsv")


def test_line_numbers_count_across_blocks(tmp_path: Path) -> None:
    """A block has 16 MiB; 90 rows of 200 kB fill more than one."""
    rows = [f"u{i}\ta.wav\t1\t{'x' * 200_000}\ts\n" for i in range(90)]
    path = write(tmp_path, "".join([HEADER, *rows, "b\tb.wav\t0\ty\ts\n"]))
    with pytest.raises(ValueError, match=r"train\.tsv:92: 'n_frames' must be a positive"):
        Manifest(path)
    path = write(tmp_path, "".join([HEADER, *rows, "b\tb.wav\t1\ty\tz\ts\n"]))
    with pytest.raises(ValueError, match=r"train\.tsv:92: a row must have 5"):
        Manifest(path)
    path = write(tmp_path, "".join([HEADER, *rows, "u89\tb.wav\t1\ty\ts\n"]))
    with pytest.raises(ValueError, match=r"train\.tsv:92: 'id' .* but 'u89' is already in line 91"):
        Manifest(path)


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\rb"])
def test_writing_refuses_what_cannot_be_read(tmp_path: Path, text: str) -> None:
    """An old manifest stays as it was, and nothing half-written is left."""
    path = write(tmp_path, HEADER + GOOD)
    with pytest.raises(
        ValueError, match=r"'text' must not hold a tab or a line break, but is 'a.*'b'"
    ):
        write_manifest(path, [Utterance("a", "a.wav", 1, "ok"), Utterance("b", "b.wav", 1, text)])
    assert path.read_text() == HEADER + GOOD
    assert list(tmp_path.iterdir()) == [path]


def test_workers_open_the_file_themselves(data_folder: Path) -> None:
    """Pickled, a manifest is its path: no table travels to the data loading workers."""
    manifest = Manifest(data_folder / "dev.tsv")
    pickled = pickle.dumps(manifest)
    assert len(pickled) < 500
    assert list(pickle.loads(pickled)) == list(manifest)


def test_columns_are_in_the_rows_order(data_folder: Path) -> None:
    manifest = Manifest(data_folder / "train.tsv")
    rows = list(manifest)
    assert manifest.ids.to_pylist() == [row.id for row in rows]
    assert manifest.texts.to_pylist() == [row.text for row in rows]
    assert manifest.n_frames.tolist() == [row.n_frames for row in rows]
    with pytest.raises(IndexError):
        manifest[len(rows)]
