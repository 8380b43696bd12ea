"""Answers of a model that was loaded: exact ids, alone and in batches, by every decoding."""

import ast
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

import fairseq_audiochat
from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.data.conversation import AssistantTurn, AudioPart, Conversation, UserTurn
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Utterance
from fairseq_audiochat.data.prompt_batch import collate_prompts
from fairseq_audiochat.export.__main__ import main as export
from fairseq_audiochat.modules import frozen_llm
from fairseq_audiochat.modules.packed_linear import PackedLinear, can_pack


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def spoken(path: str, *texts: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": text} for text in texts]
    return {"role": "user", "content": [*parts, {"type": "audio", "audio": path}]}


@pytest.fixture(scope="module")
def dialogues(audio_chat: AudioChat, recordings: list[str]) -> list[list[dict[str, Any]]]:
    """Dialogues of 1 to 3 turns and of all lengths, spoken and written."""
    first = [spoken(recordings[0])]
    answer = audio_chat.respond(first, max_new_tokens=9)
    second = [*first, answer.message(), spoken(recordings[1], "say it")]
    return [
        first,
        [said("what is the capital of france")],
        second,
        [{"role": "system", "content": "Be brief."}, spoken(recordings[2], "again")],
        [*second, {"role": "assistant", "content": "yes, of course"}, said("tell me more")],
    ]


def test_a_prompt_is_the_templates(audio_chat: AudioChat, dialogues):
    """Built here by hand: system prompt, parts, and answers as ids and as text."""
    template = audio_chat.task.template
    reader, answering = audio_chat._reader, audio_chat._answering
    answer = AssistantTurn(dialogues[2][1]["ids"])
    turns = [UserTurn([AudioPart()]), answer, UserTurn(["say it", "\n", AudioPart()])]
    expected = [
        Conversation([UserTurn([AudioPart()])]),
        Conversation([UserTurn(["what is the capital of france"])]),
        Conversation(turns),
        Conversation([UserTurn(["again", "\n", AudioPart()])], "Be brief."),
        Conversation([*turns, AssistantTurn("yes, of course"), UserTurn(["tell me more"])]),
    ]
    for messages, conversation in zip(dialogues, expected, strict=True):
        prompt = answering.prompt(reader.conversation(messages))
        assert prompt.ids == template.prompt(conversation)
        assert len(prompt.clips) == len(conversation.clips())


def search(audio_chat: AudioChat, messages: list[dict[str, Any]], **options: Any) -> list[int]:
    """What fairseq's generator finds behind a prompt that was made without `AudioChat`."""
    template, task = audio_chat.task.template, audio_chat.task
    turns = []
    for message in messages:
        if message["role"] == "user":
            parts = message["content"]
            parts = [{"text": parts}] if isinstance(parts, str) else parts
            parts = [part.get("text") or AudioPart(part["audio"]) for part in parts]
            turns.append(UserTurn([*parts[:1], "\n", *parts[1:]] if parts[1:] else parts))
        else:
            turns.append(AssistantTurn(message.get("ids", message["content"])))
    conversation = Conversation(turns)
    clips = [read_features(Utterance("", path, 1, "", "")) for path in conversation.clips()]
    pad = task.target_dictionary.pad()
    inputs = collate_prompts([template.prompt(conversation)], [clips], pad)
    generator = task.build_generator([audio_chat.model], SimpleNamespace(**options))
    sample = {"id": torch.tensor([0]), "net_input": inputs}
    [hypotheses] = task.inference_step(generator, [audio_chat.model], sample)
    return hypotheses[0]["tokens"].tolist()


@pytest.mark.parametrize("beam", [1, 4])
def test_greedy_and_beam_are_fairseqs(audio_chat: AudioChat, dialogues, beam: int):
    """Of fairseq's search, one beam is greedy."""
    ends = set()
    for messages in [*dialogues[:3], dialogues[4]]:
        for length in (2, 12):
            expected = search(audio_chat, messages, beam=beam, max_len_b=length, lenpen=0.7)
            penalty = {"length_penalty": 0.7} if beam > 1 else {}
            answer = audio_chat.respond(messages, beam=beam, max_new_tokens=length, **penalty)
            assert list(answer.ids) == expected[:-1]
            assert answer.ended == ("length" if len(expected) == length + 1 else "eos")
            assert answer == audio_chat.task.template.decode(expected)
            ends.add(answer.ended)
    assert ends == {"length", "eos"}


DECODINGS = [
    {},
    {"beam": 3},
    {"temperature": 0.8, "seed": 3},
    {"temperature": 1.5, "top_k": 20, "top_p": 0.9, "seed": 4},
]


@pytest.mark.parametrize("options", DECODINGS, ids=str)
def test_a_batch_is_what_each_of_its_dialogues_is_alone(audio_chat, dialogues, options):
    together = audio_chat.respond_batch(dialogues, max_new_tokens=14, **options)
    for messages, answer in zip(dialogues, together, strict=True):
        alone = audio_chat.respond(messages, max_new_tokens=14, **options)
        assert (alone, alone.ids, alone.ended) == (answer, answer.ids, answer.ended)
    assert len({len(answer.ids) for answer in together}) > 1
    assert audio_chat.respond_batch([]) == []


@pytest.mark.parametrize("options", DECODINGS, ids=str)
def test_a_stream_is_the_whole_answer(audio_chat, dialogues, options):
    for messages in dialogues:
        stream = audio_chat.stream(messages, max_new_tokens=14, **options)
        with pytest.raises(RuntimeError, match="An answer must be read to its end first, but is"):
            _ = stream.answer
        pieces = list(stream)
        assert all(pieces)
        assert "".join(pieces) == stream.answer
        assert stream.answer.ids == audio_chat.respond(messages, max_new_tokens=14, **options).ids


def test_sampling_repeats_with_its_seed_and_differs_without(audio_chat, dialogues):
    def answer(seed: int | None) -> tuple[int, ...]:
        options = {"temperature": 2.0, "max_new_tokens": 12, "seed": seed}
        return audio_chat.respond(dialogues[1], **options).ids

    assert answer(7) == answer(7)
    assert len({answer(seed) for seed in range(4)}) > 1
    assert len({answer(None) for _ in range(4)}) > 1
    torch.manual_seed(0)
    assert answer(7) == answer(7)  # whatever else draws


def test_a_dialogue_beyond_the_context_is_refused(audio_chat, dialogues):
    """256 positions; the prompt is counted as the LLM reads it."""
    answering = audio_chat._answering
    prompt = answering.prompt(audio_chat._reader.conversation(dialogues[4]))
    positions = answering.positions(prompt)
    assert audio_chat.respond(dialogues[4], max_new_tokens=256 - positions, beam=2)
    message = (
        rf"messages: a dialogue and its longest answer must fit into the LLM's 256 tokens, but the "
        rf"dialogue has {positions} and max_new_tokens is {257 - positions}; lower it, or let the"
    )
    with pytest.raises(ValueError, match=message):
        audio_chat.respond(dialogues[4], max_new_tokens=257 - positions)
    with pytest.raises(ValueError, match=r"dialogues\[1\]: a dialogue and its longest answer"):
        audio_chat.respond_batch([dialogues[1], dialogues[4]], max_new_tokens=257 - positions)


def test_the_oldest_turns_are_dropped_when_asked_to(audio_chat, dialogues, caplog):
    positions = [
        audio_chat._answering.positions(
            audio_chat._answering.prompt(audio_chat._reader.conversation(messages))
        )
        for messages in (dialogues[4], dialogues[4][2:], dialogues[4][4:])
    ]
    for dropped in (1, 2):
        room = 256 - positions[dropped]
        with caplog.at_level(logging.WARNING):
            answer = audio_chat.respond(dialogues[4], max_new_tokens=room, drop_oldest_turns=True)
        assert answer.dropped_turns == dropped
        expected = audio_chat.respond(dialogues[4][2 * dropped :], max_new_tokens=room)
        assert answer.ids == expected.ids
        assert expected.dropped_turns == 0
        assert f"messages: the {dropped} oldest turns are left out" in caplog.text
    with pytest.raises(ValueError, match=rf"dialogue has {positions[2]} and .* is 256; lower it\."):
        audio_chat.respond(dialogues[4], max_new_tokens=256, drop_oldest_turns=True)


def test_checkpoints_that_are_none_are_refused(tmp_path: Path, chat_llm: Path):
    with pytest.raises(FileNotFoundError, match=r"no\.pt: the checkpoint must exist, but does not"):
        AudioChat.from_checkpoint(tmp_path / "no.pt", chat_llm)
    (tmp_path / "text.pt").write_text("this is none")
    with pytest.raises(ValueError, match=r"text\.pt: the checkpoint must be one that fairseq"):
        AudioChat.from_checkpoint(tmp_path / "text.pt", chat_llm)


def test_a_dialogue_reads_token_by_token(
    checkpoints: dict[str, Path], llm_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[bool] = []
    monkeypatch.setattr(frozen_llm, "pack_linear_layers", lambda llm, few: asked.append(few))
    AudioChat.from_checkpoint(checkpoints["chat"], llm_path, device="cpu")
    assert asked == [True]


def test_what_fairseq_train_wrote_answers(checkpoints: dict[str, Path], llm_path: Path, recordings):
    chat = AudioChat.from_checkpoint(checkpoints["chat"], llm_path, device="cpu")
    assert chat.respond([spoken(recordings[0])], max_new_tokens=3).ids
    packed = isinstance(chat.model.decoder.llm.head, PackedLinear)
    assert packed == can_pack(torch.nn.Linear(1, 1))
    again = AudioChat(chat.model, chat.task, max_audio_seconds=1)
    assert again.respond([said("and this")], max_new_tokens=3).ids
    with pytest.raises(ValueError, match="must be one of the task audio_chat, but is one of 'a"):
        AudioChat.from_checkpoint(checkpoints["ctc"], llm_path)


def test_an_exported_folder_answers_as_its_checkpoint(
    checkpoints: dict[str, Path], llm_path: Path, recordings, tmp_path: Path
):
    assert export([str(checkpoints["chat"]), str(tmp_path / "published")]) == 0
    answers = [
        AudioChat.from_checkpoint(path, llm_path).respond([spoken(recordings[0])], max_new_tokens=9)
        for path in (checkpoints["chat"], tmp_path / "published")
    ]
    assert answers[0].ids == answers[1].ids
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        AudioChat.from_checkpoint(tmp_path, llm_path)


def test_another_llm_is_refused(tmp_path: Path, chat_checkpoint: Path):
    other = tiny.make_llm(tmp_path / "llm", seed=6)
    with pytest.raises(ValueError, match="must be the one that the checkpoint was trained with"):
        AudioChat.from_checkpoint(chat_checkpoint, other)


def test_the_llm_computes_in_the_dtype_that_is_asked_for(chat_checkpoint: Path, chat_llm: Path):
    chat = AudioChat.from_checkpoint(chat_checkpoint, chat_llm, dtype="bfloat16", device="cpu")
    assert chat.model.decoder.llm.causal_lm.dtype == torch.bfloat16
    assert chat.respond([said("tell me more")], max_new_tokens=3, beam=2).ids


def test_the_plug_in_alone_imports_no_chat():
    """Every fairseq command imports the plug-in; its ``__getattr__`` imports when it is asked."""
    tree = ast.parse(Path(fairseq_audiochat.__file__).read_text())
    at_once = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert "chat" not in {name.name for node in at_once for name in node.names}
    assert not [node for node in at_once if "chat." in str(node.module)]
    assert fairseq_audiochat.AudioChat is AudioChat
    with pytest.raises(AttributeError, match="module 'fairseq_audiochat' has no attribute 'Chat'"):
        _ = fairseq_audiochat.Chat
