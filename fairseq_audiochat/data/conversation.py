"""A conversation: turns of text and audio, as a user and the LLM exchange them.

Every part of the system that needs a prompt (training, decoding, response generation,
evaluation) describes it as a conversation and hands that to one chat template. This file
knows neither tokens nor how audio is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AudioPart:
    """A recording inside a user turn; ``clip`` is whatever the caller reads audio from."""

    clip: Any = None


Part = str | AudioPart


@dataclass(frozen=True)
class UserTurn:
    """What the user wrote and said, in order.

    Args:
        parts: Text and audio parts; at least one.
    """

    parts: Sequence[Part]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("A user turn must have at least one text or audio part, but has none.")

    @staticmethod
    def of_messages_parts(parts: Sequence[Part]) -> "UserTurn":
        """The turn of parts that were written apart, as in a message.

        Between a recording and the text or recording beside it stands a line break, unless the
        text has a blank there: tokenizers would else join what they should not.
        """
        separated: list[Part] = []
        for part in (part for part in parts if part != ""):
            if separated and _touch(separated[-1], part):
                separated.append("\n")
            separated.append(part)
        return UserTurn(separated or parts)


def _touch(before: Part, behind: Part) -> bool:
    """Whether a recording is among two neighbours, and no blank between them."""
    if isinstance(before, str) and isinstance(behind, str):
        return False
    return not (
        (isinstance(before, str) and before[-1].isspace())
        or (isinstance(behind, str) and behind[0].isspace())
    )


@dataclass(frozen=True)
class AssistantTurn:
    """What the LLM answered.

    Args:
        answer: Its text, or (exact, because decoding and re-encoding is not the identity)
            the token ids it generated, without EOS.
    """

    answer: str | Sequence[int]


Turn = UserTurn | AssistantTurn


@dataclass(frozen=True)
class Conversation:
    """Turns that alternate, begin with the user and end with the user.

    Args:
        turns: The turns, oldest first.
        system: The system prompt; empty as in the paper (section 3.2).

    Raises:
        ValueError: If the turns do not alternate between user and assistant, or the last
            one is not the user's.
    """

    turns: Sequence[Turn]
    system: str = ""

    def __post_init__(self) -> None:
        for position, turn in enumerate(self.turns):
            expected = UserTurn if position % 2 == 0 else AssistantTurn
            if not isinstance(turn, expected):
                raise ValueError(
                    f"Turn {position} must be a {expected.__name__}, but is a "
                    f"{type(turn).__name__}; turns alternate and the user begins."
                )
        if len(self.turns) % 2 == 0:
            raise ValueError(
                f"A conversation must end with a user turn, but has {len(self.turns)} turns."
            )

    @staticmethod
    def of_text(text: str) -> "Conversation":
        """One written user turn, the prompt that responses are generated from."""
        return Conversation([UserTurn([text])])

    @staticmethod
    def of_audio(clip: Any = None) -> "Conversation":
        """One spoken user turn, the prompt that the encoder is trained behind."""
        return Conversation([UserTurn([AudioPart(clip)])])

    def written(self, texts: Sequence[str]) -> "Conversation":
        """The conversation with texts in the places of its audio parts, in order."""
        left = iter(texts)

        def write(turn: Turn) -> Turn:
            if isinstance(turn, AssistantTurn):
                return turn
            return UserTurn(
                [next(left) if isinstance(part, AudioPart) else part for part in turn.parts]
            )

        return Conversation([write(turn) for turn in self.turns], self.system)

    def clips(self) -> "list[Any]":
        """The clips of all audio parts, in the order in which the prompt holds them."""
        return [
            part.clip
            for turn in self.turns
            if isinstance(turn, UserTurn)
            for part in turn.parts
            if isinstance(part, AudioPart)
        ]
