"""The example of dialogues: its table, what it counts as a name, and what it computes."""

import math
from pathlib import Path

import context
import hold
import pytest
import torch
from transformers import AutoModelForCausalLM
from two_turns import TwoTurns, read_two_turns
from world import Prompt, follow_ups, prompts

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.data.conversation import AssistantTurn, Conversation, UserTurn
from fairseq_audiochat.data.manifest import Utterance, write_manifest

SINGLE_TURNS = {prompt.text: prompt for prompt in prompts(["fact", "italian", "name"])}


def second(first: str, text: str) -> Prompt:
    return next(one for one in follow_ups(SINGLE_TURNS[first]) if one.text == text)


@pytest.mark.parametrize(
    ("first", "text", "names"),
    [
        ("tell me the capital of france", "and spain", {"said": "Spain", "asked_for": "Madrid"}),
        ("tell me the capital of spain", "and the language", {"asked_for": "Spanish"}),
        ("tell me the italian word for dog", "and cat", {}),
        ("my name is anna", "what is my name", {"asked_for": "Anna"}),
    ],
)
def test_names(first: str, text: str, names: dict[str, str]):
    said = [Utterance(str(place), "x.flac", 1, one, "") for place, one in enumerate((first, text))]
    answers = (Answer("", []), Answer("", []))
    assert TwoTurns(*said, second(first, text).topic, answers).names() == names


def test_the_table():
    """Perplexity 2 by hand: 4 ln 2 nats of 4 tokens; every dialogue alike, so no interval."""
    one = {"nats": 2 * math.log(2), "tokens": 2}
    figures = [{**one, "said": True, "asked_for": False}, one, {**one, "said": False}]
    last = context.table({("end-to-end", "none"): figures}).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == [
        *("end-to-end", "none", "2.00", "[2.00, 2.00]", "1 of 2", "0 of 1")
    ]


def test_nats_are_those_of_stock_transformers(audio_chat, chat_llm: Path):
    template = audio_chat.task.template
    responses = [Answer("", [9, 30, 41], "eos"), Answer("", [50, 12], "length")]
    history = {"role": "assistant", "content": "", "ids": [20, 21]}
    dialogues = [
        [context.user("say it")],
        [context.user("what is it"), history, context.user("tell me")],
    ]
    turns = [
        [UserTurn(["say it"])],
        [UserTurn(["what is it"]), AssistantTurn([20, 21]), UserTurn(["tell me"])],
    ]
    stock = AutoModelForCausalLM.from_pretrained(chat_llm)
    found = context.response_nats(audio_chat, dialogues, responses)
    for turn, response, nats in zip(turns, responses, found, strict=True):
        prompt = template.prompt(Conversation(turn))
        target = [*response.ids, template.eos_id][: 4 if response.ended == "eos" else 2]
        with torch.no_grad():
            logits = stock(torch.tensor([[*prompt, *target]])).logits[0]
        expected = -logits[len(prompt) - 1 : -1].log_softmax(-1)[range(len(target)), target]
        torch.testing.assert_close(torch.tensor(nats), expected, rtol=1e-4, atol=1e-4)  # float32


def test_both_turns_are_answered_in_writing(audio_chat, recordings, tmp_path: Path):
    texts = ["tell me the capital of france", "and spain"]
    rows = [
        Utterance(f"d-turn-{place}", path, 100, text, "")
        for place, (path, text) in enumerate(zip(recordings, texts), start=1)
    ]
    write_manifest(tmp_path / "speech.tsv", rows)
    lines = ["id\ttext\tkind\tanswer", *(f"{row.id}\t{row.text}\tfact\tx" for row in rows)]
    (tmp_path / "questions.tsv").write_text("\n".join(lines) + "\n")
    [one] = read_two_turns(audio_chat, tmp_path / "questions.tsv", tmp_path / "speech.tsv")
    dialogue = audio_chat.dialogue()
    assert [list(answer.ids) for answer in one.answers] == [
        list(dialogue.respond(text, max_new_tokens=40).ids) for text in texts
    ]
    figures = context.measure(audio_chat, [one], context._text, context._recording)
    assert [set(record) for record in figures] == [
        {"id", "answer", "nats", "tokens", "said", "asked_for"}
    ]
    (tmp_path / "questions.tsv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    with pytest.raises(ValueError, match="the recordings must be those of"):
        read_two_turns(audio_chat, tmp_path / "questions.tsv", tmp_path / "speech.tsv")


def test_the_dialogues_show_all_four_capabilities(audio_chat, recordings):
    parts = hold.read_parts(Path(hold.__file__).with_name("dialogues.tsv"))
    names = {part.dialogue.partition(",")[0] for part in parts}
    assert names == {
        "speech translation",
        "summarisation",
        "interchanging modalities",
        "contextualisation",
    }
    assert {part.said for part in parts} == {"spoken", "written"}
    files = dict.fromkeys((part.id for part in parts), recordings[0])
    mixed = [part for part in parts if part.dialogue.endswith("in one turn")]
    assert hold.content(mixed, {}) == "tell me the opposite of happy"
    assert hold.content(mixed, files) == [
        {"type": "text", "text": "tell me the opposite of "},
        {"type": "audio", "audio": recordings[0]},
    ]
    messages = hold.hold(audio_chat, [[parts[0]], mixed], files)
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
