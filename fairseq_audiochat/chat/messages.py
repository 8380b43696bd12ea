"""Messages, in the format of transformers and of OpenAI's API, to conversations.

Checks what a user wrote, and reads the audio. Knows no model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.audio_content import decode_base64, read_clip
from fairseq_audiochat.chat.text_stream import Decode
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    Part,
    Turn,
    UserTurn,
)

Message = Mapping[str, Any]
_ROLES = ("system", "user", "assistant")
_TEXT_TYPES = ("text", "input_text", "output_text")
_TYPES = ("text", "input_text", "audio", "input_audio")
_AUDIO_KEYS = ("audio", "path")


class MessageReader:
    """Reads messages.

    Args:
        decode: From an answer's ids to its text.
        max_audio_seconds: Longer recordings are refused; None is no limit.
    """

    def __init__(self, decode: Decode, max_audio_seconds: float | None) -> None:
        self.max_audio_seconds = max_audio_seconds
        self._decode = decode

    def conversation(self, messages: Sequence[Message], name: str = "messages") -> Conversation:
        """The conversation of messages that end with the one to be answered.

        Args:
            messages: A system message perhaps, then user and assistant messages in turns.
            name: What to call them in errors.

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: If a message is not as it must be, or a recording cannot be used.
        """
        turns, system = self.turns(messages, name)
        if not turns:
            raise ValueError(f"{name} must hold a user message to be answered, but have none.")
        if not isinstance(turns[-1], UserTurn):
            raise ValueError(
                f"{name} must end with a user message to be answered, but end with an 'assistant' "
                "message."
            )
        return Conversation(turns, system)

    def turns(self, messages: Sequence[Message], name: str = "messages") -> tuple[list[Turn], str]:
        """The turns of messages, and the system prompt; see `conversation`."""
        check_messages(messages, name)
        system, turns = "", list[Turn]()
        for index, message in enumerate(messages):
            where = f"{name}[{index}]"
            if message["role"] == "system":
                system = self._text_of(message["content"], where)
            elif message["role"] == "user":
                turns.append(self.user_turn(message["content"], where))
            else:
                turns.append(self._assistant_turn(message, where))
        return turns, system

    def user_turn(self, content: Any, where: str) -> UserTurn:
        """What a user message says.

        Args:
            content: A text, or a list of parts.
            where: What to call it in errors.

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: If a part is not as it must be, or there is none.
        """
        parts = [self._part(part, place) for part, place in _parts(content, where)]
        if all(isinstance(part, str) and not part.strip() for part in parts):
            raise ValueError(f"{where}: a user message must hold text or audio, but is empty.")
        return UserTurn.of_messages_parts(parts)

    def _part(self, part: Message, where: str) -> Part:
        kind = part.get("type")
        if kind in _TEXT_TYPES:
            return _text(part, where)
        if kind == "audio":
            keys = [key for key in part if key != "type"]
            if len(keys) != 1 or keys[0] not in _AUDIO_KEYS:
                raise _refusal(where, "an audio part must have 'audio' (or 'path')", keys)
            return AudioPart(read_clip(part[keys[0]], where, self.max_audio_seconds))
        if kind == "input_audio":
            inside = part.get("input_audio")
            if not isinstance(inside, Mapping) or "data" not in inside:
                raise _refusal(where, "'input_audio' must hold 'data' as base64", inside)
            audio = decode_base64(inside["data"], where)
            return AudioPart(read_clip(audio, where, self.max_audio_seconds))
        raise ValueError(
            f"{where}: 'type' must be one of {', '.join(map(repr, _TYPES))}, but is {kind!r}."
        )

    def _assistant_turn(self, message: Message, where: str) -> AssistantTurn:
        content = message["content"]
        text = self._text_of(content, where)
        ids = message.get("ids", content.ids if isinstance(content, Answer) else None)
        if ids is None:
            return AssistantTurn(text)
        if not all(isinstance(token, int) and token >= 0 for token in ids):
            raise ValueError(f"{where}: 'ids' must be a list of token ids, but is {ids!r}.")
        if self._decode(ids) != text:
            raise ValueError(
                f"{where}: 'ids' must be those of 'content', but read {self._decode(ids)[:40]!r} "
                f"and not {text[:40]!r}; leave them away where the text was changed."
            )
        return AssistantTurn(list(ids))

    def _text_of(self, content: Any, where: str) -> str:
        texts = []
        for part, place in _parts(content, where):
            if part.get("type") not in _TEXT_TYPES:
                raise ValueError(
                    f"{place}: only a user message may hold audio; 'type' must be 'text' here, "
                    f"but is {part.get('type')!r}."
                )
            texts.append(_text(part, place))
        return "".join(texts)


def check_messages(messages: Sequence[Message], name: str) -> None:
    """Refuse what is no list of messages, or not in order; their parts are not looked at.

    Raises:
        ValueError: Where, the rule, and what stands there.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise ValueError(
            f'{name} must be a list of {{"role": "user", "content": ...}}, but is of type '
            f"{type(messages).__name__}."
        )
    previous = None
    for index, message in enumerate(messages):
        _check_message(message, f"{name}[{index}]")
        _check_order(message["role"], previous, index, f"{name}[{index}]")
        previous = message["role"]


def _check_message(message: Message, where: str) -> None:
    if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
        found = list(message) if isinstance(message, Mapping) else type(message).__name__
        raise ValueError(f"{where}: a message must have 'role' and 'content', but is {found}.")
    if message["role"] not in _ROLES:
        roles = ", ".join(map(repr, _ROLES))
        raise ValueError(f"{where}: 'role' must be one of {roles}, but is {message['role']!r}.")
    known = {"role", "content", "ids"} if message["role"] == "assistant" else {"role", "content"}
    if unknown := [key for key in message if key not in known and message[key]]:
        raise ValueError(
            f"{where}: a {message['role']} message must hold {', '.join(map(repr, sorted(known)))} "
            f"only, but has {unknown[0]!r} too."
        )


def _check_order(role: str, previous: str | None, index: int, where: str) -> None:
    if role == "system":
        if index:
            raise ValueError(f"{where}: a system message must be the first, but is number {index}.")
        return
    expected = "assistant" if previous == "user" else "user"
    if role != expected:
        raise ValueError(
            f"{where}: roles must alternate and the user begins, so this must be a {expected!r} "
            f"message, but is a {role!r} message."
        )


def _parts(content: Any, where: str) -> list[tuple[Message, str]]:
    """The parts of a content, and where each of them is."""
    if isinstance(content, str):
        return [({"type": "text", "text": content}, where)]
    if isinstance(content, Mapping) or not isinstance(content, Sequence):
        raise ValueError(
            f"{where}: 'content' must be a text or a list of parts, but is of type "
            f"{type(content).__name__}."
        )
    places = [(part, f"{where}.content[{index}]") for index, part in enumerate(content)]
    for part, place in places:
        if not isinstance(part, Mapping):
            raise ValueError(
                f'{place}: a part must be like {{"type": "text", "text": "..."}}, but is of type '
                f"{type(part).__name__}."
            )
    return places


def _text(part: Message, where: str) -> str:
    text = part.get("text")
    if not isinstance(text, str):
        raise _refusal(where, "'text' must be a text", text)
    return text


def _refusal(where: str, rule: str, found: Any) -> ValueError:
    return ValueError(f"{where}: {rule}, but is {found!r}.")
