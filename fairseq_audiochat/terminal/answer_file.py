"""Answers a file of dialogues: JSON lines in, JSON lines out, in batches that survive a kill.

Beside the answers lies what they were made with, so that nobody goes on with something else.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.data.record_file import Record, complete
from fairseq_audiochat.saving import whole_file
from fairseq_audiochat.terminal.dialogue_file import AskedDialogue

Settings = dict[str, Any]


def answer_file(
    chat: AudioChat,
    dialogues: Sequence[AskedDialogue],
    output: Path,
    batch_size: int,
    options: dict[str, Any],
) -> list[Record]:
    """Append the answers that a file lacks, in the order of the dialogues.

    Args:
        chat: Answers.
        dialogues: To be answered.
        output: The file, gone on with if it is there.
        batch_size: Dialogues at a time; the answers do not depend on it.
        options: See `AudioChat.respond_batch`.

    Returns:
        All records: ``id``, ``answer``, ``ids``, ``ended`` and ``dropped_turns``, see `Answer`.

    Raises:
        ValueError: If a dialogue cannot be answered, named by file and line, or the file holds
            answers to other dialogues.
    """
    starts = range(0, len(dialogues), batch_size)
    batches = [dialogues[start : start + batch_size] for start in starts]

    def compute(first: int) -> Iterator[list[Record]]:
        for batch in batches[first:]:
            messages = [dialogue.messages for dialogue in batch]
            names = [dialogue.place for dialogue in batch]
            answers = chat.respond_batch(messages, names=names, **options)
            yield [_record(dialogue.id, answer) for dialogue, answer in zip(batch, answers)]

    units = [[dialogue.id for dialogue in batch] for batch in batches]
    return complete(output, units, compute, "answers", counted="dialogue")


def check_settings(output: Path, settings: Settings) -> None:
    """Refuse to go on with a file that was begun with other settings; remember those of a new one.

    Raises:
        ValueError: If they differ.
    """
    path = output.with_name(output.name + ".settings.json")
    if output.exists() and path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name in sorted(settings.keys() | before.keys()):
            if before.get(name) != settings.get(name):
                raise ValueError(
                    f"{output}: answers must be gone on with as they were begun, but {name} was "
                    f"{before.get(name)!r} and is {settings.get(name)!r}; give another --output."
                )
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(path)) as file:
        file.write((json.dumps(settings, indent=1) + "\n").encode())


def _record(name: str, answer: Answer) -> Record:
    return {
        "id": name,
        "answer": str(answer),
        "ids": list(answer.ids),
        "ended": answer.ended,
        "dropped_turns": answer.dropped_turns,
    }
