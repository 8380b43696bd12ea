"""The chat template that a Hugging Face tokenizer carries: Llama-3, Mistral, Qwen and others.

Prompts are what the template writes, encoded as a whole with the pipeline that ``tokenizer.json``
states; transformers' classes for a family may build another one. A recording stands for a text
that nobody knows: the ids around it are those that do not depend on the text. Knows no model.
"""

import json
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    Part,
    UserTurn,
)
from fairseq_audiochat.data.hugging_face_tokenizer import HuggingFaceTokenizer

NAME = "hugging_face_chat/1"
"""Of the rules in this file; the template's own text is part of the tokenizer's digest."""

# What is said in turns in the place of a recording: no two begin or end alike.
_FILLERS = ("what", "The end", "7", "“no”", "été", "is it?")


class _Slot(NamedTuple):
    """Where ids stand in a conversation, and not the template's text."""

    ids: Sequence[int]


class _Message(NamedTuple):
    """A turn: its role, its texts and its slots in order."""

    role: str
    parts: Sequence[str | _Slot]


class HuggingFaceChat:
    """Turns conversations into prompt ids and responses back into text.

    The system prompt is the conversation's. An empty one is a system message without text, as in
    the paper's prompt for Llama-2; templates that know no system message get none.

    Args:
        folder: That of the LLM, with ``tokenizer.json`` and a chat template.

    Raises:
        FileNotFoundError: If there is no ``tokenizer.json``.
        ValueError: If it cannot be read, has no chat template, or one that a recording cannot
            stand in.
    """

    name = NAME

    def __init__(self, folder: str | Path) -> None:
        self._tokenizer = HuggingFaceTokenizer(folder)
        self.model_path = self._tokenizer.path
        self.vocabulary_size = self._tokenizer.size
        self.unk_id, self.bos_id = self._tokenizer.unk_id, self._tokenizer.bos_id
        self._takes_system = self._knows_system()
        self.prompt(Conversation.of_audio())  # refuses a template without an exact place for it
        self.eos_id = self._end_of_answer()

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids the LLM reads before it answers, ``AUDIO_PLACEHOLDER`` for each recording.

        Raises:
            ValueError: If the template has no exact place for a recording or an answer.
        """
        return self._encode(self._messages(conversation))

    def prompt_text(self, prompt: Sequence[int]) -> str:
        """Prompt ids as text, for servers that take no ids; BOS is theirs to add."""
        ids = list(prompt)
        behind_bos = ids[1:] if ids[:1] == [self.bos_id] else ids
        return self._tokenizer.decode(behind_bos, keep_symbols=True)

    def encode(self, text: str) -> list[int]:
        """Ids of a text that a user or the LLM says; control symbols in it are text."""
        return self._tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of response ids; control symbols vanish."""
        return self._tokenizer.decode(ids, keep_symbols=False)

    def pieces(self) -> list[str]:
        """A name for each id, all different, in the order of the ids; none holds a blank."""
        return self._tokenizer.pieces()

    def _messages(self, conversation: Conversation) -> list[_Message]:
        messages = []
        if conversation.system and not self._takes_system:
            raise ValueError(
                f"{self.model_path}: the chat template must take a system prompt to be given one, "
                f"but takes none; leave {conversation.system[:30]!r} away."
            )
        if self._takes_system:
            messages.append(_Message("system", [self._text(conversation.system)]))
        for turn in conversation.turns:
            if isinstance(turn, UserTurn):
                messages.append(_Message("user", self._parts(turn.parts)))
            elif isinstance(turn.answer, str):
                messages.append(_Message("assistant", self._parts([turn.answer])))
            else:
                messages.append(_Message("assistant", [_Slot(turn.answer)]))
        return messages

    def _parts(self, parts: Sequence[Part]) -> list[str | _Slot]:
        if all(isinstance(part, str) and not part.strip() for part in parts):
            return [_Slot([])]  # as behind a recording of nothing, not as the template trims it
        return [
            _Slot([AUDIO_PLACEHOLDER]) if isinstance(part, AudioPart) else self._text(part)
            for part in parts
        ]

    def _text(self, text: str) -> str | _Slot:
        """A text; one with control symbols is encoded apart, so that they are no control."""
        return _Slot(self.encode(text)) if any(s in text for s in self._tokenizer.symbols) else text

    def _encode(self, messages: Sequence[_Message]) -> list[int]:
        """Encode a conversation as a whole, its slots filled with ids."""
        slots = _slots(messages)
        texts = [_FILLERS[0]] * len(slots)
        ids = self._tokenizer.read(self._write(messages, texts))
        ranges = [self._find(messages, texts, number) for number in range(len(slots))]
        for (start, end), slot in reversed(list(zip(ranges, slots))):
            ids[start:end] = slot.ids
        return ids

    def _find(
        self, messages: Sequence[_Message], texts: Sequence[str], slot: int
    ) -> tuple[int, int]:
        """Where the first filler's ids stand: between what no filler changes."""
        fillings = ([*texts[:slot], filler, *texts[slot + 1 :]] for filler in _FILLERS)
        written = [self._write(messages, filling) for filling in fillings]
        variants = [self._tokenizer.read(text) for text in written]
        start, tail = _unchanged(variants)
        for filler, ids in zip(_FILLERS, variants):
            inside = self._tokenizer.decode(ids[start : len(ids) - tail], keep_symbols=True)
            if inside.strip(" ") != filler:
                self._refuse_merging(f"{filler!r} in its place gives tokens of {inside!r}")
        if self._is_audio(messages, slot):
            self._refuse_neighbours(written)
        return start, len(variants[0]) - tail

    def _is_audio(self, messages: Sequence[_Message], slot: int) -> bool:
        return _slots(messages)[slot].ids == [AUDIO_PLACEHOLDER]

    def _refuse_neighbours(self, written: Sequence[str]) -> None:
        """Refuse text beside a recording that merges with other words than our fillers."""
        start, tail = _unchanged(written)
        before, after = written[0][:start], written[0][len(written[0]) - tail :]
        if not (before[-1:].isspace() or before.endswith(self._tokenizer.symbols)):
            self._refuse_merging(f"is {before[-10:]!r} before it")
        if not (after[:1].isspace() or after.startswith(self._tokenizer.symbols)):
            self._refuse_merging(f"is {after[:10]!r} behind it")

    def _refuse_merging(self, found: str) -> NoReturn:
        raise ValueError(
            f"{self.model_path}: what stands beside a recording must be tokens of its own whatever "
            f"is said, but {found}; put a blank or a line break between them, or use another chat "
            "template."
        )

    def _write(self, messages: Sequence[_Message], fillers: Sequence[str]) -> str:
        """What the template writes with texts in the slots."""
        filling = iter(fillers)
        return self._tokenizer.write(
            [
                {
                    "role": role,
                    "content": "".join(p if isinstance(p, str) else next(filling) for p in parts),
                }
                for role, parts in messages
            ]
        )

    def _knows_system(self) -> bool:
        system, question = "Be brief.", {"role": "user", "content": "what"}
        try:
            written = self._tokenizer.write([{"role": "system", "content": system}, question])
        except ValueError:
            return False
        return system in written

    def _end_of_answer(self) -> int:
        """The id that the template writes behind an answer."""
        question = UserTurn(["what"])
        messages = self._messages(Conversation([question, AssistantTurn([0]), question]))
        _, end = self._find(messages, _FILLERS[:1], 0)
        behind = self._tokenizer.read(self._write(messages, _FILLERS[:1]))[end:]
        # Llama-2's template writes a blank first.
        pieces = ((token, self._tokenizer.decode([token], keep_symbols=True)) for token in behind)
        token = next(token for token, piece in pieces if piece.strip(" "))
        piece = self._tokenizer.piece(token)
        if piece not in self._tokenizer.symbols:
            raise ValueError(
                f"{self.model_path}: the chat template must end an answer with a control symbol, "
                f"but writes {piece!r}; use another model or template."
            )
        _refuse_other_end(self.model_path.parent, token, self._tokenizer.eos_id)
        return token


def _slots(messages: Sequence[_Message]) -> list[_Slot]:
    return [part for message in messages for part in message.parts if isinstance(part, _Slot)]


def _unchanged(rows: Sequence[Sequence[Any]]) -> tuple[int, int]:
    """How many entries all rows begin with, and end with."""
    heads, tails = zip(*rows), zip(*(row[::-1] for row in rows))
    begin, end = (sum(1 for _ in takewhile(_is_one, entries)) for entries in (heads, tails))
    return begin, end


def _is_one(entries: Sequence[Any]) -> bool:
    return len(set(entries)) == 1


def _refuse_other_end(folder: Path, token: int, eos_id: int | None) -> None:
    """Refuse if the files name ends of a response, and the template's is none of them."""
    path = folder / "generation_config.json"
    try:
        named = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError):
        named = None
    ends = named if isinstance(named, list) else [named]
    known = {end for end in (*ends, eos_id) if end is not None}
    if known and token not in known:
        raise ValueError(
            f"{folder}: an answer must end as generation_config.json and the tokenizer say, with "
            f"one of {sorted(known)}, but the chat template writes {token}; correct eos_token_id "
            "if the LLM was trained with that template."
        )
