"""An answer: text to read, and the ids that the LLM generated.

Decoding and encoding again is not the identity, so what the LLM reads of its own earlier
answers are the ids. Knows no model.
"""

from collections.abc import Sequence
from typing import Any


class Answer(str):
    """What the LLM said: a ``str`` that remembers its ids.

    It can be the ``content`` of an assistant message as it is; JSON keeps its text alone, so
    `message` writes the ids beside it.

    Args:
        text: What it reads as.
        ids: The generated ids, without the one that ends an answer.
        ended: ``eos``, or ``length`` where ``max_new_tokens`` cut it.
        dropped_turns: How many of the oldest pairs of a user turn and its answer were left out of
            what the LLM read, because the dialogue was longer than its context.
    """

    ids: tuple[int, ...]
    ended: str
    dropped_turns: int

    def __new__(
        cls, text: str, ids: Sequence[int], ended: str = "eos", dropped_turns: int = 0
    ) -> "Answer":
        """A ``str`` is made here, not in ``__init__``."""
        answer = super().__new__(cls, text)
        answer.ids, answer.ended, answer.dropped_turns = tuple(ids), ended, dropped_turns
        return answer

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.ids, self.ended, self.dropped_turns

    def message(self) -> dict[str, Any]:
        """The assistant message of it; exact also after it was written as JSON and read."""
        return {"role": "assistant", "content": str(self), "ids": list(self.ids)}
