"""A file of answered dialogues: its header, and one JSON record per answer that is trained.

A record holds everything that was said before the answer, as messages, and the prompt's ids in both
modalities: as the LLM read it (text), and with a placeholder for each recording. Recordings are
utterances of the split's manifest and are named by their ids. Knows no LLM.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    Part,
    Turn,
    UserTurn,
)
from fairseq_audiochat.data.response_record import Response, ResponseHeader, is_response

FORMAT = "fairseq_audiochat.dialogues/1"
REGENERATE = "answer the dialogues again with data_prep/answer_dialogues.py"
"""The way out of most errors."""

Message = Mapping[str, Any]
"""``role`` (``system``, ``user``, ``assistant``) and ``content``: a text, or a list of parts
``{"type": "text", "text": ...}`` and ``{"type": "audio", "audio": ID}``. An answer of the LLM also
has its ``ids``."""


class DialogueRecord(NamedTuple):
    """An answer and what was said before it.

    Args:
        id: The dialogue's id, a slash, and the answer's number from 1.
        messages: Everything before the answer.
        audio: Ids of the recordings in them, in order; see the manifest.
        prompt: Ids of the prompt with transcripts in the place of recordings.
        audio_prompt: Ids of the prompt with ``AUDIO_PLACEHOLDER`` in the place of recordings.
        response: See `Response`, like the next three.
        text: See above.
        ended: See above.
        excluded: See above.
    """

    id: str
    messages: list[dict[str, Any]]
    audio: list[str]
    prompt: list[int]
    audio_prompt: list[int]
    response: list[int]
    text: str
    ended: str
    excluded: str = ""

    def to_json(self) -> str:
        """The record's line."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    def answer(self) -> Response:
        """The answer alone, to the text prompt."""
        return Response(self.id, self.prompt, self.response, self.text, self.ended, self.excluded)


def header_line(header: ResponseHeader) -> str:
    """The first line of a file of dialogues."""
    return json.dumps({"format": FORMAT, **header._asdict()}, sort_keys=True)


def parse_record(line: str, place: str) -> DialogueRecord:
    """Read one record.

    Raises:
        ValueError: With ``place``, if it is no whole and valid record.
    """
    try:
        record = DialogueRecord(**json.loads(line))
        valid = is_response(record.answer()) and _is_spoken(record)
    except (ValueError, TypeError, KeyError, AttributeError):
        valid = False
    if not valid:
        raise ValueError(
            f"{place}: a record must have {', '.join(DialogueRecord._fields)}, with one "
            f"placeholder in 'audio_prompt' for each of 'audio', but is {line[:80]!r}; "
            f"{REGENERATE}."
        )
    return record


def spoken(messages: Iterable[Message]) -> Conversation:
    """The conversation of messages that end with a user's; its clips are the recordings' ids.

    Args:
        messages: See `Message`.

    Raises:
        ValueError: If roles do not alternate, or a part is of another type.
    """
    system, turns = "", list[Turn]()
    for message in messages:
        if message["role"] == "system":
            system = message["content"]
        elif message["role"] == "user":
            parts = [_part(one) for one in parts_of(message["content"])]
            turns.append(UserTurn.of_messages_parts(parts))
        else:
            turns.append(AssistantTurn(message.get("ids", message.get("content", ""))))
    return Conversation(turns, system)


def parts_of(content: Any) -> list[Mapping[str, Any]]:
    """The parts of a user message; a text alone is one part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def audio_ids(messages: Iterable[Message]) -> list[str]:
    """The ids of all recordings in messages, in order."""
    return [
        part["audio"]
        for message in messages
        if message["role"] == "user"
        for part in parts_of(message["content"])
        if part["type"] == "audio"
    ]


def _part(one: Mapping[str, Any]) -> Part:
    return AudioPart(one["audio"]) if one["type"] == "audio" else str(one["text"])


def _is_spoken(record: DialogueRecord) -> bool:
    placeholders = record.audio_prompt.count(AUDIO_PLACEHOLDER)
    return placeholders == len(record.audio) == len(audio_ids(record.messages))
