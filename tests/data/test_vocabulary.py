"""The CTC vocabulary: pieces, and a blank behind the last one."""

from pathlib import Path

import pytest
import sentencepiece
import tiny

from fairseq_audiochat.data.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_vocabulary(tmp_path_factory.mktemp("vocabulary") / "spm.model")


def test_blank_is_behind_the_last_piece(model_path: Path) -> None:
    vocabulary = Vocabulary.load(model_path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model_path)).vocab_size()
    assert vocabulary.blank == pieces
    assert len(vocabulary) == pieces + 1


def test_transcripts_come_back(model_path: Path) -> None:
    vocabulary = Vocabulary.load(model_path)
    for text in ("what is the capital of france", "please", " ".join(tiny.WORDS)):
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert max(ids) < vocabulary.blank
    assert vocabulary.decode([]) == ""


def test_bytes_are_the_whole_vocabulary(model_path: Path) -> None:
    """A checkpoint holds them, so that it needs no file beside it."""
    loaded = Vocabulary.load(model_path)
    again = Vocabulary(loaded.model)
    assert again.encode("tell me more") == loaded.encode("tell me more")


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r"no\.model: the SentencePiece vocabulary must exist, but does not; make it with "
        r"data_prep/train_vocabulary\.py",
    ):
        Vocabulary.load(tmp_path / "no.model")


@pytest.mark.parametrize("content", [b"this is no model", b""])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.model").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.model: the vocabulary must be a SentencePiece"):
        Vocabulary.load(tmp_path / "bad.model")
