"""Dialogues that go on: what is remembered changes nothing but the cost."""

import threading
from pathlib import Path
from typing import Any

import families
import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.chat.dialogue import Dialogue
from fairseq_audiochat.chat.prompt import Prompt
from fairseq_audiochat.chat.prompt_reading import embed_prompts
from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.modules.beam_cache import BufferedLayer
from fairseq_audiochat.modules.frozen_llm import FrozenLlm


def turns(recordings: list[str]) -> list[Any]:
    """What a user says in four turns."""
    return [
        [{"type": "audio", "audio": recordings[0]}],
        "tell me more",
        [
            {"type": "text", "text": "again"},
            {"type": "audio", "audio": recordings[3]},
            {"type": "audio", "audio": recordings[1]},
        ],
        "name two colours",
    ]


@pytest.fixture
def positions_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many positions of prompts the LLM reads, each time that it does."""
    read: list[int] = []
    prefill = FrozenLlm.prefill

    def watched(llm: FrozenLlm, embeddings: torch.Tensor, cache: Any) -> torch.Tensor:
        read.append(embeddings.size(1))
        return prefill(llm, embeddings, cache)

    monkeypatch.setattr(FrozenLlm, "prefill", watched)
    return read


@pytest.mark.parametrize(
    "options",
    [{}, {"beam": 3}, {"temperature": 1.2, "top_p": 0.95, "seed": 2}],
    ids=str,
)
def test_a_turn_is_what_reading_everything_again_gives(
    audio_chat: AudioChat, recordings: list[str], positions_read: list[int], options: dict[str, Any]
):
    dialogue = audio_chat.dialogue([{"role": "system", "content": "Be kind."}])
    whole = 0
    for content in turns(recordings):
        messages = [*dialogue.messages, {"role": "user", "content": content}]
        expected = audio_chat.respond(messages, max_new_tokens=9, **options)
        whole = positions_read.pop()
        answer = dialogue.respond(content, max_new_tokens=9, **options)
        assert answer.ids == expected.ids
        assert dialogue.messages[-1] == answer.message()
    assert len(positions_read) == 4
    assert positions_read[3] < whole / 4  # the last turn's, and the whole dialogue's


def test_every_way_of_answering_leaves_the_same_behind(audio_chat: AudioChat, recordings):
    """Beams, samples and a stream that was closed: the next turn does not notice."""
    dialogue = audio_chat.dialogue()
    first, second, third, fourth = turns(recordings)
    dialogue.respond(first, max_new_tokens=9, beam=4)
    stream = dialogue.stream("never mind", max_new_tokens=30)
    next(stream)
    stream.close()
    assert len(dialogue.messages) == 2
    dialogue.respond(second, max_new_tokens=9, temperature=2.0)
    with pytest.raises(ValueError, match="message: a user message must hold text or audio"):
        dialogue.respond("")
    "".join(dialogue.stream(third, max_new_tokens=40))
    messages = [*dialogue.messages, {"role": "user", "content": fourth}]
    assert len(messages) == 7
    expected = audio_chat.respond(messages, max_new_tokens=9)
    assert dialogue.respond(fourth, max_new_tokens=9).ids == expected.ids


@pytest.mark.parametrize("call", [1, 2, 3, 6])
def test_an_interrupt_at_any_moment_leaves_the_dialogue_as_it_was(
    audio_chat: AudioChat, recordings, monkeypatch: pytest.MonkeyPatch, call: int
):
    """Ctrl-C while a layer's cache is written: of the prompt (two layers), or of a token."""
    dialogue = audio_chat.dialogue()
    first, second, third, _ = turns(recordings)
    dialogue.respond(first, max_new_tokens=9)
    update, calls = BufferedLayer.update, 0

    def interrupted(layer: BufferedLayer, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < call:
            return update(layer, *args, **kwargs)
        update(layer, *args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BufferedLayer, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dialogue.respond(third, max_new_tokens=40)
    messages = [*dialogue.messages, {"role": "user", "content": second}]
    assert len(messages) == 3
    expected = audio_chat.respond(messages, max_new_tokens=9)
    assert dialogue.respond(second, max_new_tokens=9).ids == expected.ids


def test_a_history_is_a_dialogue(audio_chat: AudioChat, recordings):
    dialogue = audio_chat.dialogue([{"role": "system", "content": "Be kind."}])
    first, second, third, _ = turns(recordings)
    dialogue.respond(first, max_new_tokens=9)
    dialogue.respond(second, max_new_tokens=9)
    resumed = audio_chat.dialogue(dialogue.messages)
    assert resumed.messages == dialogue.messages
    answers = [each.respond(third, max_new_tokens=9) for each in (dialogue, resumed)]
    assert answers[0].ids == answers[1].ids
    with pytest.raises(ValueError, match="messages must end with an 'assistant' message to be "):
        audio_chat.dialogue(dialogue.messages[:2])


def test_the_oldest_turns_are_dropped_for_good(audio_chat: AudioChat, recordings):
    """256 positions: after some turns, each new one costs an old one."""
    dialogue, spoken = audio_chat.dialogue(), turns(recordings)[2]
    for _ in range(2):
        dialogue.respond(spoken, max_new_tokens=120)
    with pytest.raises(
        ValueError, match=r"dialogue: a dialogue and its longest .* let the oldest turns"
    ):
        dialogue.respond(spoken, max_new_tokens=120)
    for _ in range(3):
        answer = dialogue.respond(spoken, max_new_tokens=120, drop_oldest_turns=True)
        assert answer.dropped_turns == dialogue.dropped_turns > 0
        read = dialogue.messages[2 * dialogue.dropped_turns : -1]
        assert audio_chat.respond(read, max_new_tokens=120).ids == answer.ids
    assert len(dialogue.messages) // 2 == 5  # nothing is lost


def test_one_question_at_a_time(audio_chat: AudioChat):
    dialogue = audio_chat.dialogue()
    stream, late = (dialogue.stream("tell me more", max_new_tokens=20) for _ in range(2))
    next(stream)
    with pytest.raises(RuntimeError, match="must answer one question at a time, but is"):
        dialogue.respond("again")
    stream.finish()
    assert len(dialogue.messages) == 2
    with pytest.raises(RuntimeError, match="in the order in which they are asked, but has"):
        late.finish()
    assert dialogue.respond("again", max_new_tokens=3).ids


def test_dialogues_in_threads_do_not_mix(audio_chat: AudioChat, recordings):
    """Four at once, each against itself alone."""

    def hold(place: int) -> list[tuple[int, ...]]:
        dialogue = audio_chat.dialogue()
        content = turns(recordings)[place:] + turns(recordings)[:place]
        options = [{}, {"beam": 2}, {"temperature": 1.0, "seed": place}]
        return [
            dialogue.respond(said, max_new_tokens=7, **option).ids
            for said, option in zip(content, options)
        ]

    found: dict[int, list[tuple[int, ...]]] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: hold(number)}))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = [hold(place) for place in range(4)]
    assert [found[number] for number in range(4)] == alone


@torch.no_grad()
def test_transcripts_as_audio_are_the_text_dialogue(
    audio_chat: AudioChat, recordings, monkeypatch: pytest.MonkeyPatch
):
    """Where recordings embed as the tokens of what is said in them, all is the text dialogue's."""
    template, encoder = audio_chat.task.template, audio_chat.model.encoder
    texts = ["what is the capital of france", "tell me more", "say it again please"]
    spoken, written = audio_chat.dialogue(), audio_chat.dialogue()
    for turn, (text, recording) in enumerate(zip(texts, recordings)):
        # Behind "[INST]" a later turn's text begins with a blank, as Meta's does.
        ids = torch.tensor(template.encode(text if turn == 0 else f" {text}"))
        with monkeypatch.context() as patch:
            patch.setattr(
                encoder,
                "embed_audio",
                lambda features, lengths, ids=ids: (
                    encoder.embed_tokens(ids).unsqueeze(0),
                    torch.tensor([len(ids)]),
                ),
            )
            patch.setattr(encoder, "audio_positions", lambda _, ids=ids: len(ids))
            said = spoken.respond([{"type": "audio", "audio": recording}], max_new_tokens=9)
        assert said.ids == written.respond(text, max_new_tokens=9).ids
        torch.testing.assert_close(logits(spoken), logits(written), atol=1e-5, rtol=1e-5)
        assert AUDIO_PLACEHOLDER in Prompt.of(spoken._cache.entries).ids


def logits(dialogue: Dialogue) -> torch.Tensor:
    """What the LLM predicts behind all that it has read, and a token of ours."""
    cache = dialogue._cache
    state = cache.begin(Prompt.of([*cache.entries, 7]), beams=1)
    return cache.llm.logits(state.step(torch.tensor([7])))


@pytest.mark.parametrize("name", list(families.FAMILIES))
@torch.no_grad()
def test_logits_of_other_families_are_those_of_stock_transformers(
    name: str, recordings, tmp_path: Path
):
    """Templates that move the system prompt or change earlier turns cost more, nothing else."""
    folder = families.make_family(tmp_path / "llm", name, sliding_window=None)
    chat = AudioChat(*reversed(tiny.make_chat(tmp_path, folder)))
    stock = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    system = [] if name == "mistral-0.1" else [{"role": "system", "content": "Be brief."}]
    dialogue = chat.dialogue(system)
    for content in turns(recordings)[:3]:
        messages = [*dialogue.messages, {"role": "user", "content": content}]
        dialogue.respond(content, max_new_tokens=5)
        prompt = chat._answering.prompt(chat._reader.conversation(messages))
        # Recordings are read again from their files here, so nothing is shared.
        embeddings = embed_prompts(chat.model.encoder, [prompt]).embeddings
        ids = dialogue.messages[-1]["ids"]
        behind = stock.get_input_embeddings()(torch.tensor([[prompt.ids[-1], *ids]]))
        row = stock(inputs_embeds=torch.cat((embeddings, behind), dim=1)).logits[0]
        assert row[-len(ids) - 1 : -1].argmax(-1).tolist() == ids
        read = dialogue._cache.positions
        behind = torch.cat((embeddings, behind), dim=1)[:, :read]
        token = stock.get_input_embeddings()(torch.tensor([[7]]))
        expected = stock(inputs_embeds=torch.cat((behind, token), dim=1)).logits[0, -1]
        torch.testing.assert_close(logits(dialogue)[0], expected, atol=1e-4, rtol=1e-4)
