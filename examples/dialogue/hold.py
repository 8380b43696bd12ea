"""Holds the dialogues of a table with a trained model, and prints them.

    python examples/dialogue/hold.py --path CHECKPOINT --llm LLM --speech output/dialogues.tsv

The table, ``dialogues.tsv``, has the columns ``id``, ``text``, ``dialogue``, ``turn`` and ``said``:
rows of one turn are its parts in order, each ``spoken`` (its recording is in the manifest
``--speech``) or ``written``. Every dialogue is held twice: as the table says, and with every word
written, which is what the LLM can do where it understands every word. Transcripts go beside the
manifest, for ``:load`` in the terminal.
"""

import argparse
import csv
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_audiochat import AudioChat
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.terminal.message_file import write_messages

_TABLE = Path(__file__).with_name("dialogues.tsv")
_LONGEST = 40  # tokens: no right answer is longer


class SaidPart(NamedTuple):
    """A row of the table."""

    id: str
    text: str
    dialogue: str
    turn: str
    said: str


def main() -> None:
    """Hold all dialogues."""
    args = _parser().parse_args()
    chat = AudioChat.from_checkpoint(args.path, args.llm, device=args.device)
    speech = Manifest(args.speech)
    files = {
        utterance.id: utterance.audio for utterance in map(speech.__getitem__, range(len(speech)))
    }
    for name, parts in groupby(read_parts(_TABLE), key=lambda part: part.dialogue):
        turns = [list(turn) for _, turn in groupby(parts, key=lambda part: part.turn)]
        messages = hold(chat, turns, files)
        written = hold(chat, turns, {})
        show(name, turns, messages, written)
        path = args.speech.with_name(f"{name.replace(' ', '_').replace(',', '')}.json")
        write_messages(path, messages)


def read_parts(path: Path) -> list[SaidPart]:
    """The rows of the table."""
    with open(path, encoding="utf-8", newline="") as file:
        return [SaidPart(**row) for row in csv.DictReader(file, delimiter="\t")]


def hold(
    chat: AudioChat, turns: list[list[SaidPart]], files: dict[str, str]
) -> list[dict[str, Any]]:
    """The messages of a dialogue, whose spoken parts have files or else are written."""
    dialogue = chat.dialogue()
    for turn in turns:
        dialogue.respond(content(turn, files), max_new_tokens=_LONGEST)
    return dialogue.messages


def content(turn: list[SaidPart], files: dict[str, str]) -> Any:
    """A turn as the model is given it; texts alone are one text."""
    spoken = {part.id for part in turn if part.said == "spoken" and part.id in files}
    if not spoken:
        return "".join(part.text for part in turn)
    return [
        {"type": "audio", "audio": files[part.id]}
        if part.id in spoken
        else {"type": "text", "text": part.text}
        for part in turn
    ]


def show(
    name: str,
    turns: list[list[SaidPart]],
    messages: list[dict[str, Any]],
    written: list[dict[str, Any]],
) -> None:
    """Print a dialogue, and what was answered to writing where that differs."""
    print(f"\n{name}")
    for turn, answer, to_text in zip(turns, messages[1::2], written[1::2], strict=True):
        print("  user  ", " ".join(f"({part.said}) {part.text.strip()}" for part in turn))
        print("  model ", answer["content"])
        if to_text["content"] != answer["content"]:
            print("        in writing:", to_text["content"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--path", type=Path, required=True, help="a checkpoint of audio_chat")
    add("--llm", type=Path, required=True, help="folder of the LLM that it was trained with")
    add("--speech", type=Path, required=True, help="manifest of the spoken table")
    add("--device", default="cpu", help="of torch (cpu)")
    return parser


if __name__ == "__main__":
    main()
