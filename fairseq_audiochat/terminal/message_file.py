"""Messages in files: transcripts as JSON, audio paths that hold wherever the file is read from.

A transcript is a list of messages, as `AudioChat.dialogue` takes it. Knows no model.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.saving import whole_file

Message = dict[str, Any]

_ELSEWHERE = ("http://", "https://", "data:")


def write_messages(path: Path, messages: Sequence[Message]) -> None:
    """Write a transcript, whole or not at all: a message per line.

    Raises:
        OSError: If it cannot be written.
    """
    check_folder(path)
    lines = ",\n ".join(json.dumps(message, ensure_ascii=False) for message in messages)
    with whole_file(str(path)) as file:
        file.write(f"[{lines}]\n".encode())


def check_folder(path: Path) -> None:
    """Refuse a file that cannot be written because its folder is missing.

    Raises:
        FileNotFoundError: If it is.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder must exist, but does not; make it first.")


def read_messages(path: Path) -> list[Message]:
    """The messages of a transcript; its relative audio paths begin in its folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list of messages.
    """
    try:
        messages = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: the transcript must exist, but does not.") from error
    except ValueError as error:
        raise ValueError(f"{path}: a transcript must be JSON, but: {error}.") from error
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise ValueError(
            f'{path}: a transcript must be a list of {{"role": ..., "content": ...}}, but is not.'
        )
    return [anchored(message, path.parent) for message in messages]


def anchored(message: Message, folder: Path) -> Message:
    """A message whose relative audio paths begin in a folder."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [_anchored_part(part, folder) for part in content]}


def audio_paths(message: Message) -> list[str]:
    """The files that a message names."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part[key] for part in parts for key in _path_keys(part)]


def _anchored_part(part: Any, folder: Path) -> Any:
    if not isinstance(part, dict):
        return part
    return {**part, **{key: str(folder.absolute() / part[key]) for key in _path_keys(part)}}


def _path_keys(part: Any) -> list[str]:
    """Where an audio part names a file."""
    if not isinstance(part, dict) or part.get("type") != "audio":
        return []
    named = {key: part[key] for key in ("audio", "path") if isinstance(part.get(key), str)}
    return [key for key, value in named.items() if not value.startswith(_ELSEWHERE)]
