"""Llama-2's chat template, exact to Meta's token ids.

Encodes conversations with sentencepiece directly: transformers' tokenizer classes differ
from Meta's code after the BOS. Knows no model and reads no audio; a recording is one
placeholder in the ids.
"""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    Part,
    UserTurn,
)

NAME = "llama2_chat/1"
"""Of the template and its version: another one gives other ids."""

_BEGIN_INSTRUCTION = "[INST]"
_END_INSTRUCTION = " [/INST]"
_SYSTEM = "<<SYS>>\n{}\n<</SYS>>\n\n"


class Llama2Chat:
    """Turns conversations into prompt ids and responses back into text.

    Args:
        model_path: The ``tokenizer.model`` beside the LLM's weights.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no SentencePiece model, the tokenizer has no BOS or EOS, or does not
            keep newlines.
    """

    name = NAME

    def __init__(self, model_path: str | Path) -> None:
        self.model_path = Path(model_path)
        self._sentencepiece = _load(self.model_path)
        self.vocabulary_size: int = self._sentencepiece.vocab_size()
        self.unk_id: int = self._sentencepiece.unk_id()
        self.bos_id = self._special_id("BOS", self._sentencepiece.bos_id())
        self.eos_id = self._special_id("EOS", self._sentencepiece.eos_id())
        self._anchor = self._encode_with_dummy_prefix("\n")
        if self._sentencepiece.decode(self._anchor) != "\n":
            raise ValueError(
                f"{model_path}: the tokenizer must keep newlines, because the chat template "
                "holds them; train it with normalization_rule_name=identity and byte_fallback."
            )

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids the LLM reads before it answers, ``AUDIO_PLACEHOLDER`` for each recording."""
        ids: list[int] = []
        for position, turn in enumerate(conversation.turns):
            if isinstance(turn, UserTurn):
                system = conversation.system if position == 0 else None
                ids += self._user_turn(turn, system)
            else:
                ids += self._assistant_turn(turn)
        return ids

    def encode(self, text: str) -> list[int]:
        """Encode ``text`` as it stands inside a prompt: without SentencePiece's dummy prefix."""
        ids = self._encode_with_dummy_prefix("\n" + text)
        if ids[: len(self._anchor)] != self._anchor:
            raise ValueError(
                f"{self.model_path}: no token may join a newline to what follows it, but "
                f"{text[:20]!r} after a newline does; retrain the tokenizer with byte_fallback."
            )
        return ids[len(self._anchor) :]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of response ids; control symbols vanish."""
        return str(self._sentencepiece.decode(list(ids)))

    def prompt_text(self, prompt: Sequence[int]) -> str:
        """Prompt ids as text, for servers that take no ids; BOS is theirs to add."""
        return self.decode(prompt)

    def pieces(self) -> list[str]:
        """All pieces, in the order of their ids."""
        return [self._sentencepiece.id_to_piece(index) for index in range(self.vocabulary_size)]

    def _user_turn(self, turn: UserTurn, system: str | None) -> list[int]:
        if system is None:
            opening, text_prefix = _BEGIN_INSTRUCTION, " "
        else:
            opening, text_prefix = _BEGIN_INSTRUCTION + " " + _SYSTEM.format(system), ""
        ids = [self.bos_id, *self._encode_with_dummy_prefix(opening)]
        ids += self._parts(_strip(turn.parts, leading=system is None), text_prefix)
        return ids + self.encode(_END_INSTRUCTION)

    def _parts(self, parts: Sequence[Part], text_prefix: str) -> list[int]:
        ids: list[int] = []
        for position, part in enumerate(parts):
            if isinstance(part, AudioPart):
                ids.append(AUDIO_PLACEHOLDER)
            else:
                ids += self.encode((text_prefix if position == 0 else "") + part)
        return ids

    def _assistant_turn(self, turn: AssistantTurn) -> list[int]:
        if isinstance(turn.answer, str):
            return [*self.encode(f" {turn.answer.strip()} "), self.eos_id]
        return [*turn.answer, self.eos_id]

    def _encode_with_dummy_prefix(self, text: str) -> list[int]:
        return list(self._sentencepiece.encode(text))

    def _special_id(self, name: str, token_id: int) -> int:
        if token_id < 0:
            raise ValueError(
                f"{self.model_path}: the tokenizer must have a {name} symbol, but has none; "
                "a chat LLM cannot be used without it."
            )
        return token_id


def _load(path: Path) -> sentencepiece.SentencePieceProcessor:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the LLM's tokenizer must exist, but does not; a SentencePiece model belongs "
            "beside the LLM's weights."
        )
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"{path}: the tokenizer must be a SentencePiece model, but: {error}; of Llama-3 and "
            "later use the copy in Hugging Face format."
        ) from error


def _strip(parts: Sequence[Part], leading: bool) -> list[Part]:
    """Strip the turn's outer blanks as Meta's code does (after it glued the system block)."""
    stripped = list(parts)
    if leading and isinstance(stripped[0], str):
        stripped[0] = stripped[0].lstrip()
    if isinstance(stripped[-1], str):
        stripped[-1] = stripped[-1].rstrip()
    return stripped
