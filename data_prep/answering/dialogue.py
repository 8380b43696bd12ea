"""A dialogue that the LLM answers: what was said, what is to be asked next, and what came of it.

Knows no engine and no file of answers.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from answering.engine import Answer, Request
from answering.prompts import EMPTY_TRANSCRIPT, LONG_PROMPT
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.dialogue_record import (
    DialogueRecord,
    audio_ids,
    spoken,
)

EARLIER = "an earlier turn has no answer"
Transcripts = dict[str, str]


class Dialogue:
    """One dialogue while it is answered.

    Args:
        id: Its id.
        messages: Its messages; see ``answer_dialogues.py``.
        transcripts: Of its recordings, by id.
    """

    def __init__(self, id: str, messages: list[dict[str, Any]], transcripts: Transcripts) -> None:
        self.id = id
        self.transcripts = transcripts
        self.messages = messages
        if messages[-1]["role"] == "user":
            messages.append({"role": "assistant"})
        self._failed = False

    def open_turns(self) -> list[int]:
        """Places of the messages that the LLM shall answer with."""
        return [
            place
            for place, message in enumerate(self.messages)
            if message["role"] == "assistant" and "content" not in message
        ]

    def record_ids(self) -> list[str]:
        """Ids of the records that the dialogue gives."""
        trained = [place for place in self.open_turns() if self._is_trained(place)]
        return [self._record_id(place) for place in trained]

    def ask(
        self, place: int, template: ChatTemplate, factor: float, max_positions: int
    ) -> Request | Answer:
        """The request for an answer; or the answer that there is none, and why."""
        heard = self._written(place)
        prompt = template.prompt(heard)
        question = "".join(str(part) for part in heard.turns[-1].parts)
        room = max_positions - len(prompt)
        request = Request(self._record_id(place), prompt, 1)
        if self._failed:
            return Answer.none(request, EARLIER)
        if not question.strip():
            return Answer.none(request, EMPTY_TRANSCRIPT)
        if room < 1:
            return Answer.none(request, LONG_PROMPT)
        tokens = int(factor * len(template.encode(question)))
        return request._replace(max_new_tokens=min(max(1, tokens), room))

    def take(self, place: int, answer: Answer, template: ChatTemplate) -> DialogueRecord | None:
        """Put an answer into the dialogue; gives its record if it is trained."""
        before = [dict(message) for message in self.messages[:place]]
        text = template.decode(answer.ids)
        record = DialogueRecord(
            answer.id,
            before,
            audio_ids(before),
            template.prompt(self._written(place)),
            template.prompt(spoken(before)),
            answer.ids,
            text,
            answer.ended,
            answer.excluded,
        )
        trained = self._is_trained(place)
        self._failed = self._failed or bool(answer.excluded)
        self.messages[place] = {"role": "assistant", "content": text, "ids": answer.ids}
        return record if trained else None

    def _is_trained(self, place: int) -> bool:
        return bool(self.messages[place].get("train", True))

    def _written(self, place: int) -> Conversation:
        conversation = spoken(self.messages[:place])
        return conversation.written([self.transcripts[audio] for audio in conversation.clips()])

    def _record_id(self, place: int) -> str:
        answers = [m for m in self.messages[: place + 1] if m["role"] == "assistant"]
        return f"{self.id}/{len(answers)}"


def read_dialogues(path: Path, transcripts: Transcripts) -> Iterator[Dialogue]:
    """The dialogues of a file of JSON lines.

    Args:
        path: The file.
        transcripts: Of the manifest's utterances, by id.

    Raises:
        ValueError: With the line, if one is no dialogue, or names an utterance that is unknown.
    """
    seen: dict[str, int] = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            place = f"{path}:{number}"
            dialogue = _parse(line, place, transcripts)
            if dialogue.id in seen:
                raise ValueError(
                    f"{place}: 'id' must be unique, but {dialogue.id!r} is already in line "
                    f"{seen[dialogue.id]}."
                )
            seen[dialogue.id] = number
            yield dialogue


def _parse(line: str, place: str, transcripts: Transcripts) -> Dialogue:
    try:
        found = json.loads(line)
        id, messages = found["id"], [dict(message) for message in found["messages"]]
        if not isinstance(id, str) or not id or not messages:
            raise ValueError("'id' and 'messages' must not be empty")
        _check_messages(messages)
        unknown = [id for id in audio_ids(messages) if id not in transcripts]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{place}: a line must be a dialogue with 'id' and 'messages', but: {reason}; see "
            "answer_dialogues.py --help."
        ) from error
    if unknown:
        raise ValueError(
            f"{place}: every recording must be an utterance of the manifest, but {unknown[0]!r} is "
            f"none (dialogue {id!r})."
        )
    return Dialogue(id, messages, transcripts)


def _check_messages(messages: Sequence[dict[str, Any]]) -> None:
    """Refuse what is no dialogue; a conversation checks the order of the turns itself."""
    known = {"system": {"content"}, "user": {"content"}, "assistant": {"content", "train"}}
    for message in messages:
        role = message.get("role")
        if role not in known:
            raise ValueError(f"'role' must be one of {', '.join(known)}, but is {role!r}")
        extra = set(message) - known[role] - {"role"}
        if extra:
            raise ValueError(f"a {role} message must not have {min(extra)!r}")
        if "content" in message and message.get("train"):
            raise ValueError("an assistant message with 'content' must not have 'train'")
    spoken(messages if messages[-1]["role"] == "user" else messages[:-1])
