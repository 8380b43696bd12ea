"""Does the first turn help with the second? Perplexity and names, with and without it.

    PYTHONPATH=examples/mini python examples/dialogue/context.py --llm LLM --end-to-end CHECKPOINT \
        --cascade NAME=CHECKPOINT --questions prompts/dialogues.tsv --speech data/dialogues.tsv \
        --output context.json

The LLM answers the written dialogue, and this second response is scored behind what each arm reads
of the second turn: its text, its recording, a transcript of it. Before it stands nothing, the first
turn in writing, or the first turn as the arm reads it too; the first answer is always the LLM's to
the written question. Prints a table; ``--output`` gets every dialogue's figures.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from two_turns import LONGEST, Message, TwoTurns, read_two_turns, user
from world import plain

from fairseq_audiochat import AudioChat
from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    Turn,
    UserTurn,
)
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Utterance
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.options import named_path
from fairseq_audiochat.evaluate.perplexity.scores import batch_nats
from fairseq_audiochat.evaluate.prompts import collate
from fairseq_audiochat.metrics.bootstrap import perplexity_interval
from fairseq_audiochat.metrics.perplexity import perplexity
from fairseq_audiochat.tasks._cascade import Cascade

_BATCH_SIZE = 32  # dialogues
_SEED = 1  # of the intervals

Figures = list[dict[str, Any]]
"""Of each dialogue: ``nats`` and ``tokens`` of the response, and which names the answer holds."""


class Arm(NamedTuple):
    """What the LLM reads of an utterance: the content of a message."""

    name: str
    read: Callable[[Utterance], Any]


def main() -> None:
    """Measure, write, print."""
    args = _parser().parse_args()
    chat = AudioChat.from_checkpoint(args.end_to_end, args.llm, device="cpu")
    dialogues = read_two_turns(chat, args.questions, args.speech)
    arms = [Arm("reference text", _text), Arm("end-to-end", _recording)]
    arms += [Arm(f"cascade, {name}", _transcriber(chat, path)) for name, path in args.cascade]
    measured = {}
    for arm in arms:
        for first_turn, read in (("none", None), ("written", _text), ("spoken", arm.read)):
            if (arm.read, first_turn) != (_text, "spoken"):
                measured[arm.name, first_turn] = measure(chat, dialogues, read, arm.read)
    records = {" | ".join(key): figures for key, figures in measured.items()}
    args.output.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(table(measured))


def measure(
    chat: AudioChat,
    dialogues: Sequence[TwoTurns],
    read_first: Callable[[Utterance], Any] | None,
    read_second: Callable[[Utterance], Any],
) -> Figures:
    """The figures of an arm behind one kind of first turn."""
    figures = []
    for start in range(0, len(dialogues), _BATCH_SIZE):
        batch = dialogues[start : start + _BATCH_SIZE]
        asked = [_asked(one, read_first, read_second) for one in batch]
        answers = chat.respond_batch(asked, max_new_tokens=LONGEST)
        nats = response_nats(chat, asked, [one.answers[1] for one in batch])
        figures += map(_figures, batch, answers, nats)
    return figures


def response_nats(
    chat: AudioChat, dialogues: Sequence[list[Message]], responses: Sequence[Answer]
) -> list[list[float]]:
    """Nats of every token of responses, EOS too, behind dialogues that wait for them."""
    template, pad = chat.task.template, chat.task.target_dictionary.pad()
    prompts = []
    for row, (messages, response) in enumerate(zip(dialogues, responses, strict=True)):
        conversation = Conversation([_turn(message) for message in messages])
        ids, clips = template.prompt(conversation), conversation.clips()
        end = [template.eos_id] if response.ended == "eos" else []
        prompts.append({"row": row, "ids": ids, "clips": clips, "target": [*response.ids, *end]})
    batch = collate(prompts, pad)
    return batch_nats(chat.model, batch["net_input"], batch["target"], pad)


def table(measured: dict[tuple[str, str], Figures]) -> str:
    """The figures, in Markdown."""
    rows = [["the LLM reads", "first turn", "perplexity", "95 %", "name said", "name asked for"]]
    for key, figures in measured.items():
        nats, tokens = ([one[name] for one in figures] for name in ("nats", "tokens"))
        low, high = perplexity_interval(nats, tokens, _SEED)
        value = perplexity(sum(nats), sum(tokens))
        interval = f"[{low:.2f}, {high:.2f}]"
        names = [_share(figures, name) for name in ("said", "asked_for")]
        rows.append([*key, f"{value:.2f}", interval, *names])
    return as_markdown(rows)


def _asked(
    one: TwoTurns,
    read_first: Callable[[Utterance], Any] | None,
    read_second: Callable[[Utterance], Any],
) -> list[Message]:
    before = [user(read_first(one.first)), one.answers[0].message()] if read_first else []
    return [*before, user(read_second(one.second))]


def _figures(one: TwoTurns, answer: Answer, nats: list[float]) -> dict[str, Any]:
    words = plain(answer).split()
    held = {key: plain(name) in words for key, name in one.names().items()}
    counted = {"nats": sum(nats), "tokens": len(nats)}
    return {"id": one.second.id, "answer": str(answer), **counted, **held}


def _share(figures: Figures, name: str) -> str:
    held = [one[name] for one in figures if name in one]
    return f"{sum(held)} of {len(held)}"


def _text(said: Utterance) -> str:
    return said.text


def _recording(said: Utterance) -> list[dict[str, str]]:
    return [{"type": "audio", "audio": said.audio}]


def _transcriber(chat: AudioChat, path: Path) -> Callable[[Utterance], str]:
    cascade = Cascade(str(path), chat.task.template, chat.task.target_dictionary.pad())

    def transcript(said: Utterance) -> str:
        features = torch.as_tensor(read_features(said))
        return cascade.transcribe(features.unsqueeze(0), torch.tensor([len(features)]))[0]

    return transcript


def _turn(message: Message) -> Turn:
    if message["role"] == "assistant":
        return AssistantTurn(message["ids"])
    if isinstance(message["content"], str):
        return UserTurn([message["content"]])
    [part] = message["content"]
    return UserTurn([AudioPart(read_features(Utterance("", part["audio"], 1, "", "")))])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--llm", type=Path, required=True, help="folder of the chat LLM")
    add("--end-to-end", type=Path, required=True, help="a checkpoint of audio_chat")
    add(
        "--cascade",
        type=named_path,
        action="append",
        default=[],
        metavar="NAME=CHECKPOINT",
        help="of audio_ctc; may be given several times",
    )
    add("--questions", type=Path, required=True, help="dialogues.tsv of write_prompts.py")
    add("--speech", type=Path, required=True, help="the manifest of their recordings")
    add("--output", type=Path, required=True, help="JSON file for every dialogue's figures")
    return parser


if __name__ == "__main__":
    main()
