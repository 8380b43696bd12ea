"""Two-turn dialogues, spoken and written: the second answer needs the first turn.

    python examples/mini/dialogue.py examples/mini/output --llm examples/mini/llm

The model was trained on single turns. A dialogue is a list of messages, so nothing else is
needed: the first question, the model's own beam-10 answer with its ids, the second question. Writes
``dialogues.json``: the share of right second answers, and the dialogues themselves.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from logs import Question, read_questions
from world import is_right

from fairseq_audiochat import AudioChat
from fairseq_audiochat.data.manifest import Manifest

_SEARCH = {"beam": 10, "max_new_tokens": 40}


class Said(NamedTuple):
    """One user turn: the question, and the message that the model is given of it."""

    question: Question
    message: dict[str, Any]


def main() -> None:
    """Hold every dialogue in speech and in writing."""
    args = _parser().parse_args()
    checkpoint = args.output / "checkpoints/chat/checkpoint_best.pt"
    chat = AudioChat.from_checkpoint(checkpoint, args.llm)
    questions = read_questions(args.output / "prompts/dialogues.tsv")
    manifest = Manifest(args.output / "data/dialogues.tsv")
    files = [manifest[index].audio for index in range(len(manifest))]
    contents: dict[str, list[Any]] = {
        "spoken": [[{"type": "audio", "audio": file}] for file in files],
        "written": [question.text for question in questions],
    }
    held = {
        name: list(hold(chat, [Said(q, user(c)) for q, c in zip(questions, said, strict=True)]))
        for name, said in contents.items()
    }
    right = {
        name: sum(dialogue["right"] for dialogue in dialogues) / len(dialogues)
        for name, dialogues in held.items()
    }
    report = {"right": right, "dialogues": held}
    (args.output / "dialogues.json").write_text(json.dumps(report, indent=1) + "\n")
    print(right)


def user(content: Any) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": content}


def hold(chat: AudioChat, turns: list[Said]) -> Iterator[dict[str, Any]]:
    """Hold dialogues whose first and second turns alternate, all of them in one batch."""
    firsts, seconds = turns[0::2], turns[1::2]
    openings = [[first.message] for first in firsts]
    first_answers = chat.respond_batch(openings, **_SEARCH)
    dialogues = [
        [*opening, answer.message(), second.message]
        for opening, answer, second in zip(openings, first_answers, seconds, strict=True)
    ]
    second_answers = chat.respond_batch(dialogues, **_SEARCH)
    for first, second, *answers in zip(firsts, seconds, first_answers, second_answers, strict=True):
        yield {
            "turns": [first.question.text, answers[0], second.question.text, answers[1]],
            "right": is_right(answers[1], second.question.answer),
        }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the run's folder")
    parser.add_argument("--llm", type=Path, required=True, help="folder of the chat LLM")
    return parser


if __name__ == "__main__":
    main()
