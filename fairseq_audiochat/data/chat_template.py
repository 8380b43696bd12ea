"""What a chat template is to the rest of the system: a conversation in, prompt ids out.

Everything that needs a prompt asks one object for it. Knows no tokenizer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fairseq_audiochat.data.conversation import Conversation

AUDIO_PLACEHOLDER = -1
"""Stands for one recording in a list of prompt ids; no tokenizer yields a negative id."""


class ChatTemplate(Protocol):
    """A chat template with the tokenizer that it belongs to."""

    @property
    def name(self) -> str:
        """Its kind and version: another one gives other ids."""

    @property
    def model_path(self) -> Path:
        """The tokenizer's file."""

    @property
    def vocabulary_size(self) -> int:
        """The tokenizer's highest id, and one."""

    @property
    def eos_id(self) -> int:
        """The id that ends an answer."""

    @property
    def bos_id(self) -> int | None:
        """The id that begins a sequence; None if the tokenizer has none."""

    @property
    def unk_id(self) -> int | None:
        """The id of what the tokenizer does not know; None if it knows everything."""

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids the LLM reads before it answers, ``AUDIO_PLACEHOLDER`` for each recording."""

    def prompt_text(self, prompt: Sequence[int]) -> str:
        """Prompt ids as text, for servers that take no ids; BOS is theirs to add."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text that a user or the LLM says; control symbols in it are text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of response ids; control symbols vanish."""

    def pieces(self) -> list[str]:
        """A name for each id, all different, in the order of the ids."""
