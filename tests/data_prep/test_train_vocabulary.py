"""The vocabulary script: the size that is asked for, the same every time, or one sentence."""

import sys
from pathlib import Path

import pytest
import sentencepiece
import tiny
import train_vocabulary

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.vocabulary import Vocabulary


def manifest(path: Path, *texts: str) -> Path:
    write_manifest(path, [Utterance(f"{i}", "a.wav", 1, text) for i, text in enumerate(texts)])
    return path


@pytest.fixture
def train_tsv(tmp_path: Path) -> Path:
    words = tiny.WORDS
    texts = [f"{a} {b} {c}" for a in words for b in words[::3] for c in words[::5]]
    return manifest(tmp_path / "train.tsv", *texts)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["train_vocabulary.py", *map(str, arguments)])
    train_vocabulary.main()


def error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """What the script says, when it ends with exit code 2 and one sentence."""
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_vocabulary_has_the_size_and_no_symbols(
    train_tsv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    """CTC knows no beginning, end or padding; ``<unk>`` is SentencePiece's own."""
    output = tmp_path / "new/spm.model"
    run(monkeypatch, train_tsv, "--output", output, "--size", 28, "--model-type", model_type)
    model = sentencepiece.SentencePieceProcessor(model_file=str(output))
    assert model.vocab_size() == 28
    assert (model.unk_id(), model.bos_id(), model.eos_id(), model.pad_id()) == (0, -1, -1, -1)
    vocabulary = Vocabulary.load(output)
    for text in Manifest(train_tsv).texts.to_pylist():
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_same_manifests_give_the_same_model(
    train_tsv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.model", "b.model"):
        run(monkeypatch, train_tsv, "--output", tmp_path / name, "--size", 28)
    assert (tmp_path / "a.model").read_bytes() == (tmp_path / "b.model").read_bytes()


def test_all_manifests_and_all_characters_count(
    train_tsv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter that occurs once, in the second manifest, in a very long transcript, is a piece.

    SentencePiece by itself skips transcripts of more than 4,192 bytes, and rare letters.
    """
    second = manifest(tmp_path / "second.tsv", "what is " * 600 + "caf\u00e9")
    run(monkeypatch, train_tsv, second, "--output", tmp_path / "spm.model", "--size", 28)
    vocabulary = Vocabulary.load(tmp_path / "spm.model")
    assert vocabulary.decode(vocabulary.encode("caf\u00e9")) == "caf\u00e9"


def test_too_many_pieces_says_the_largest_number(
    train_tsv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The number that it says is possible, and one more is not."""
    output = tmp_path / "spm.model"
    message = error(monkeypatch, capsys, train_tsv, "--output", output)
    start = "error: --size must be at most "
    assert message.startswith(start)
    assert message.endswith(" for these transcripts, but is 1500; lower it, or add transcripts.")
    largest = int(message.removeprefix(start).split()[0])
    assert not output.exists()
    run(monkeypatch, train_tsv, "--output", output, "--size", largest)
    message = error(monkeypatch, capsys, train_tsv, "--output", output, "--size", largest + 1)
    assert message.startswith(f"{start}{largest} ")


def test_too_few_pieces_says_the_smallest_number(
    train_tsv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A piece for each letter of the words, one for the blank (``▁``), and ``<unk>``."""
    smallest = len(set("".join(tiny.WORDS))) + 2
    message = error(monkeypatch, capsys, train_tsv, "--output", tmp_path / "m", "--size", 5)
    assert message == (
        f"error: --size must be at least {smallest} for these transcripts, a piece for each of "
        "their characters, but is 5; raise it."
    )


def test_large_corpora_are_thinned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """7 transcripts, at most 3: every third, counted across manifests."""
    first = Manifest(manifest(tmp_path / "a.tsv", "0", "1", "2", "3"))
    second = Manifest(manifest(tmp_path / "b.tsv", "4", "5", "6"))
    monkeypatch.setattr(train_vocabulary, "_MOST_TRANSCRIPTS", 3)
    assert list(train_vocabulary._transcripts([first, second])) == ["0", "3", "6"]
    monkeypatch.setattr(train_vocabulary, "_MOST_TRANSCRIPTS", 7)
    assert list(train_vocabulary._transcripts([first, second])) == list("0123456")


def test_other_mistakes_are_named(
    train_tsv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    message = error(monkeypatch, capsys, tmp_path / "no.tsv", "--output", tmp_path / "m")
    assert (
        message == f"error: {tmp_path}/no.tsv: the file must exist, but does not; check the path."
    )
    message = error(monkeypatch, capsys, train_tsv, "--output", tmp_path / "m", "--size", "-1")
    assert "argument --size: must be a positive integer, but is '-1'" in message
