"""Two-turn dialogues, spoken and written: the second answer needs the first turn.

    python examples/mini/dialogue.py examples/mini/output --llm examples/mini/llm

The model was trained on single turns. A conversation is a list of turns, so nothing else is
needed: the first question, the model's own beam-10 answer as ids, the second question. Writes
``dialogues.json``: the share of right second answers, and the dialogues themselves.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from logs import Question, read_questions
from world import is_right

from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    Part,
    Turn,
    UserTurn,
)
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.prompt_batch import collate_prompts

_SEARCH = argparse.Namespace(beam=10, max_len_b=40)


class Said(NamedTuple):
    """One user turn: the question, and what the model is given of it."""

    question: Question
    part: Part


def main() -> None:
    """Hold every dialogue in speech and in writing."""
    args = _parser().parse_args()
    answer = Answerer(args.output / "checkpoints/chat/checkpoint_best.pt", args.llm)
    questions = read_questions(args.output / "prompts/dialogues.tsv")
    manifest = Manifest(args.output / "data/dialogues.tsv")
    clips = [AudioPart(read_features(manifest[index])) for index in range(len(manifest))]
    held = {
        "spoken": list(hold(answer, [*map(Said, questions, clips)])),
        "written": list(hold(answer, [Said(question, question.text) for question in questions])),
    }
    right = {
        name: sum(dialogue["right"] for dialogue in dialogues) / len(dialogues)
        for name, dialogues in held.items()
    }
    report = {"right": right, "dialogues": held}
    (args.output / "dialogues.json").write_text(json.dumps(report, indent=1) + "\n")
    print(right)


class Answerer:
    """Answers conversations by beam search.

    Args:
        checkpoint: Of the task ``audio_chat``.
        llm: The LLM's folder.
    """

    def __init__(self, checkpoint: Path, llm: Path) -> None:
        overrides = {"llm": str(llm), "prompt": "audio"}
        models, _, self.task = load_model_ensemble_and_task([str(checkpoint)], overrides)
        self.models = [model.eval() for model in models]
        self.generator = self.task.build_generator(self.models, _SEARCH)

    def __call__(self, conversations: list[Conversation]) -> list[list[int]]:
        """The ids of each answer, without EOS."""
        prompts = [self.task.template.prompt(conversation) for conversation in conversations]
        clips = [conversation.clips() for conversation in conversations]
        pad = self.task.target_dictionary.pad()
        sample: dict[str, Any] = {
            "id": torch.arange(len(prompts)),
            "net_input": collate_prompts(prompts, clips, pad),
        }
        found = self.task.inference_step(self.generator, self.models, sample)
        return [hypotheses[0]["tokens"].tolist()[:-1] for hypotheses in found]

    def text(self, ids: list[int]) -> str:
        """An answer to read."""
        return str(self.task.template.decode(ids))


def hold(answer: Answerer, turns: list[Said]) -> Iterator[dict[str, Any]]:
    """Hold dialogues whose first and second turns alternate."""
    firsts, seconds = turns[0::2], turns[1::2]
    openings = [UserTurn([first.part]) for first in firsts]
    first_ids = answer([Conversation([opening]) for opening in openings])
    conversations = []
    for opening, ids, second in zip(openings, first_ids, seconds, strict=True):
        history: list[Turn] = [opening, AssistantTurn(ids), UserTurn([second.part])]
        conversations.append(Conversation(history))
    second_ids = answer(conversations)
    for first, second, *ids in zip(firsts, seconds, first_ids, second_ids, strict=True):
        answers = [answer.text(one) for one in ids]
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
