"""An answer while it comes: an iterator over its text, and in the end the answer.

Knows no model: it is given ids.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.text_stream import TextStream


class AnswerStream(Iterator[str]):
    """Pieces of text, none of them empty; joined, they are the answer.

    Args:
        tokens: The ids as they come, EOS too.
        text: Makes text of them.
        eos_id: Ends an answer.
        dropped_turns: See `Answer`.
        when_finished: Is called with the answer, before the iterator ends.
        meanwhile: Is entered before the first piece is read, and left after the last.
    """

    def __init__(
        self,
        tokens: Iterator[int],
        text: TextStream,
        eos_id: int,
        dropped_turns: int = 0,
        when_finished: Callable[[Answer], None] = lambda answer: None,
        meanwhile: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._answer: Answer | None = None
        pieces = self._read(tokens, text, eos_id, dropped_turns, when_finished)
        self._pieces = _within(meanwhile or nullcontext(), pieces)

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            RuntimeError: If it has not come to its end.
        """
        if self._answer is None:
            raise RuntimeError("An answer must be read to its end first, but is not finished.")
        return self._answer

    def finish(self) -> Answer:
        """Read the rest, and give the answer."""
        for _ in self:
            pass
        return self.answer

    def close(self) -> None:
        """Stop here. The answer is lost, and a dialogue is as if nothing had been asked."""
        self._pieces.close()

    def _read(
        self,
        tokens: Iterator[int],
        text: TextStream,
        eos_id: int,
        dropped_turns: int,
        when_finished: Callable[[Answer], None],
    ) -> Generator[str, None, None]:
        said, ended = list[str](), "length"
        for token in tokens:
            if token == eos_id:  # the last one
                ended = "eos"
            elif piece := text.add(token):
                said.append(piece)
                yield piece
        if piece := text.rest():
            said.append(piece)
            yield piece
        answer = Answer("".join(said), text.ids, ended, dropped_turns)
        when_finished(answer)
        self._answer = answer


def _within(
    context: AbstractContextManager[Any], pieces: Generator[str, None, None]
) -> Generator[str, None, None]:
    with context, closing(pieces):
        yield from pieces
