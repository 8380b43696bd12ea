"""Dialogues to be answered, as JSON lines: read and checked before anything is computed.

A line is ``{"id": "...", "messages": [...]}``; other keys are the user's own. Reads no audio.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_audiochat.chat.messages import check_messages
from fairseq_audiochat.data.audio import file_of
from fairseq_audiochat.terminal.message_file import Message, anchored, audio_paths


class AskedDialogue(NamedTuple):
    """A line."""

    id: str
    messages: list[Message]
    place: str  # file:line, for errors


def read_dialogues(path: Path) -> list[AskedDialogue]:
    """All dialogues; relative audio paths begin in the file's folder.

    Raises:
        FileNotFoundError: If the file or a recording is missing.
        ValueError: If a line is not as it must be, or an id stands twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: --input must be a file, but is none; check the path.")
    places, dialogues = dict[str, str](), []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            dialogue = _dialogue(line, f"{path}:{number}", path.parent)
            if dialogue.id in places:
                raise ValueError(
                    f"{dialogue.place}: an 'id' must stand once, but {dialogue.id!r} stands in "
                    f"{places[dialogue.id]} too."
                )
            places[dialogue.id] = dialogue.place
            dialogues.append(dialogue)
    return dialogues


def _dialogue(line: str, place: str, folder: Path) -> AskedDialogue:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{place}: a line must be JSON, but: {error}.") from error
    if not isinstance(record, dict) or not {"id", "messages"} <= record.keys():
        raise ValueError(
            f'{place}: a line must be {{"id": ..., "messages": [...]}}, but is {line.strip()[:60]}'
        )
    if not isinstance(record["id"], str):
        raise ValueError(f"{place}: 'id' must be a text, but is {record['id']!r}.")
    check_messages(record["messages"], f"{place}: messages")
    messages = [anchored(message, folder) for message in record["messages"]]
    _check_files(messages, place)
    return AskedDialogue(record["id"], messages, place)


def _check_files(messages: list[dict[str, Any]], place: str) -> None:
    """A file that is missing is better known now than after hours."""
    for message in messages:
        for audio in audio_paths(message):
            if not file_of(audio).is_file():
                raise FileNotFoundError(f"{place}: {audio} must exist, but does not.")
