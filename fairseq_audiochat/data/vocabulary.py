"""The CTC vocabulary: SentencePieces, plus a blank behind the last one.

Carries the model's bytes, so that a checkpoint holds its own vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece


class Vocabulary:
    """SentencePieces of transcripts; 1,500 in the paper (section 3.1).

    Args:
        model: The serialised SentencePiece model.
        name: What to call it in errors.

    Raises:
        ValueError: If ``model`` is not one.
    """

    def __init__(self, model: bytes, name: str = "checkpoint") -> None:
        self.model = model
        if not model:  # SentencePiece accepts it, and then knows no piece
            raise ValueError(f"{name}: the vocabulary must be a SentencePiece model, but is empty.")
        try:
            self._sentencepiece = sentencepiece.SentencePieceProcessor(model_proto=model)
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"{name}: the vocabulary must be a SentencePiece model, but: {error}"
            ) from error
        self.blank: int = self._sentencepiece.vocab_size()

    @staticmethod
    def load(path: str | Path) -> "Vocabulary":
        """Read a ``.model`` file.

        Raises:
            FileNotFoundError: If it does not exist.
            ValueError: If it is no SentencePiece model.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: the SentencePiece vocabulary must exist, but does not; make it with "
                "data_prep/train_vocabulary.py."
            )
        return Vocabulary(path.read_bytes(), str(path))

    @property
    def unk(self) -> int:
        """The piece for characters that the vocabulary lacks."""
        return int(self._sentencepiece.unk_id())

    def __len__(self) -> int:
        """Number of classes: pieces and the blank."""
        return self.blank + 1

    def encode(self, text: str) -> list[int]:
        """Piece ids of a transcript."""
        return list(self._sentencepiece.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of piece ids (no blanks among them)."""
        return str(self._sentencepiece.decode(list(ids)))
