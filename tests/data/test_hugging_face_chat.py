"""Prompts of other families: the ids of the tokenizer's own template, and an exact audio slot."""

import json
import pickle
import random
from datetime import datetime
from pathlib import Path

import families
import pytest
import sentencepiece
import tiny
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    UserTurn,
)
from fairseq_audiochat.data.hugging_face_chat import HuggingFaceChat
from fairseq_audiochat.data.llm_dictionary import LlmDictionary

NAMES = list(families.FAMILIES)
WITH_SYSTEM = [name for name in NAMES if name != "mistral-0.1"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tokenizer of each family."""
    root = tmp_path_factory.mktemp("families")
    return {name: families.make_family_tokenizer(root / name, name) for name in NAMES}


@pytest.fixture(scope="module")
def chats(folders: dict[str, Path]) -> dict[str, HuggingFaceChat]:
    return {name: HuggingFaceChat(folder) for name, folder in folders.items()}


def random_text(rng: random.Random) -> str:
    words = [*tiny.WORDS, "2024", "3.14", "l'été", "日本語", "😀", "a\u00a0b", "n't", "-", "“no”"]
    text = "".join(rng.choice(words) + rng.choice([" ", " ", ", ", "\n"]) for _ in range(6))
    return text.strip() + rng.choice(["", "?", ".", "!"])


def conversations(seed: int, number: int, turns: int, system: str = "") -> list[Conversation]:
    rng = random.Random(seed)
    return [
        Conversation(
            [
                UserTurn([random_text(rng)]) if i % 2 == 0 else AssistantTurn(random_text(rng))
                for i in range(2 * turns - 1)
            ],
            system,
        )
        for _ in range(number)
    ]


def messages(conversation: Conversation, system: bool) -> list[dict[str, str]]:
    chat = [{"role": "system", "content": conversation.system}] if system else []
    for turn in conversation.turns:
        if isinstance(turn, UserTurn):
            chat.append({"role": "user", "content": "".join(map(str, turn.parts))})
        else:
            chat.append({"role": "assistant", "content": str(turn.answer)})
    return chat


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "system"),
    [*((name, "") for name in NAMES), *((name, "Be brief.\nBe kind.") for name in WITH_SYSTEM)],
)
def test_prompts_are_those_of_the_tokenizers_template(folders, chats, name, system, turns):
    """Of all conversations; the date is an argument of Llama-3.2's template."""
    # Of the first Mistral's, AutoTokenizer makes a LlamaTokenizer, which drops a blank.
    loader = PreTrainedTokenizerFast if name == "mistral-0.1" else AutoTokenizer
    tokenizer = loader.from_pretrained(folders[name])
    for conversation in conversations(turns, 20, turns, system):
        expected = tokenizer.apply_chat_template(
            messages(conversation, name in WITH_SYSTEM),
            add_generation_prompt=True,
            return_dict=False,
            date_string="26 Jul 2024",
            enable_thinking=False,
        )
        assert chats[name].prompt(conversation) == expected


def test_mistrals_first_template_gives_what_sentencepiece_gives(folders, chats):
    """mistral-common encodes a turn as a string: ``[INST] text [/INST]`` behind BOS."""
    pieces = sentencepiece.SentencePieceProcessor(
        model_file=str(folders["mistral-0.1"] / "tokenizer.model")
    )
    rng = random.Random(0)
    for _ in range(50):
        text = random_text(rng)
        expected = [1, *pieces.encode(f"[INST] {text} [/INST]")]
        assert chats["mistral-0.1"].prompt(Conversation.of_text(text)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_around_a_recording_stands_around_every_text(chats, name):
    chat = chats[name]
    audio = chat.prompt(Conversation.of_audio())
    place = audio.index(AUDIO_PLACEHOLDER)
    before, after = audio[:place], audio[place + 1 :]
    assert audio.count(AUDIO_PLACEHOLDER) == 1
    assert after
    rng = random.Random(1)
    for _ in range(100):
        text = random_text(rng)
        ids = chat.prompt(Conversation.of_text(text))
        assert ids[:place] == before
        assert ids[len(ids) - len(after) :] == after
        inside = chat._tokenizer.decode(ids[place : len(ids) - len(after)], keep_symbols=True)
        assert inside.strip(" ") == text
    assert chat.prompt(Conversation.of_text(" ")) == [*before, *after]  # a recogniser gave nothing


@pytest.mark.parametrize("name", NAMES)
def test_recordings_in_several_turns_and_beside_text(chats, name):
    chat = chats[name]
    answer = AssistantTurn("it is red.")
    ids = chat.prompt(
        Conversation([UserTurn([AudioPart()]), answer, UserTurn(["say it: ", AudioPart()])])
    )
    written = [UserTurn(["what"]), answer, UserTurn(["say it: what"])]
    expected = chat.prompt(Conversation(written))
    first, second = (i for i, token in enumerate(ids) if token == AUDIO_PLACEHOLDER)
    assert ids[:first] == expected[:first]
    tail = len(ids) - second - 1
    assert ids[second + 1 :] == expected[len(expected) - tail :]
    middle = ids[first + 1 : second]
    assert any(middle == expected[i : i + len(middle)] for i in range(len(expected)))
    assert chat.eos_id in middle


@pytest.mark.parametrize("name", NAMES)
def test_generated_ids_stay_as_they_are(chats, name):
    """Decoding them and encoding the text again need not give them."""
    chat = chats[name]
    answer = [chat.encode("is")[-1]] * 3 + chat.encode("\n it")
    ids = chat.prompt(
        Conversation([UserTurn(["what"]), AssistantTurn(answer), UserTurn(["again"])])
    )
    start = next(i for i in range(len(ids)) if ids[i : i + len(answer)] == answer)
    assert ids[start + len(answer)] == chat.eos_id


@pytest.mark.parametrize("name", NAMES)
def test_symbols_inside_text_stay_text(chats, name):
    """Who says ``<|eot_id|>`` does not end the turn."""
    chat, end = chats[name], families.FAMILIES[name].end
    plain = chat.prompt(Conversation.of_text("what is it"))
    ids = chat.prompt(Conversation.of_text(f"what {end} is it"))
    assert ids.count(chat.eos_id) == plain.count(chat.eos_id)
    assert end in chat._tokenizer.decode(ids, keep_symbols=True)
    assert chat.decode(chat.encode(f"it {end}")).endswith(end)


def test_blanks_that_are_tokens_are_text(folders, tmp_path):
    """As Gemma has them; a text with one is read as the template's tokenizer reads it."""
    text = json.loads((folders["qwen-2.5"] / "tokenizer.json").read_text())
    blank = {"id": 333, "content": "  ", "single_word": False, "lstrip": False, "rstrip": False}
    text["added_tokens"].append({**blank, "normalized": False, "special": False})
    folder = change(folders["qwen-2.5"], tmp_path / "x")
    (folder / "tokenizer.json").write_text(json.dumps(text))
    ids = HuggingFaceChat(folder).prompt(Conversation.of_text("what  is it"))
    assert 333 in ids
    assert not any(" " in piece for piece in HuggingFaceChat(folder).pieces())


def test_the_prompt_is_the_same_on_another_day(folders, chats, monkeypatch):
    """Llama-3.2's template writes today's date."""
    before = chats["llama-3.2"].prompt(Conversation.of_text("what"))
    assert "Today Date: 26 Jul 2024\n\n<" in chats["llama-3.2"].prompt_text(before)

    class Later(datetime):
        @classmethod
        def now(cls, *args: object) -> datetime:
            return datetime(2031, 1, 2)

    monkeypatch.setattr(chat_template_utils, "datetime", Later)
    assert HuggingFaceChat(folders["llama-3.2"]).prompt(Conversation.of_text("what")) == before


def test_an_empty_system_prompt_is_no_default_one(chats):
    """Qwen-2.5's template has a system prompt of its own; the paper's is empty."""
    text = chats["qwen-2.5"].prompt_text(chats["qwen-2.5"].prompt(Conversation.of_text("what")))
    assert text.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\nwhat<|im_end|>")
    conversation = Conversation([UserTurn(["what"])], system="Be brief.")
    with pytest.raises(ValueError, match="must take a system prompt to be given one, but takes no"):
        chats["mistral-0.1"].prompt(conversation)


@pytest.mark.parametrize("name", NAMES)
def test_ends_are_the_templates(chats, name):
    chat, family = chats[name], families.FAMILIES[name]
    pieces = chat.pieces()
    assert pieces[chat.eos_id] == family.end
    assert (None if chat.bos_id is None else pieces[chat.bos_id]) == family.bos
    assert len(pieces) == len(set(pieces)) == chat.vocabulary_size
    assert not any(" " in piece or "\n" in piece for piece in pieces)
    ids = chat.encode("it is l'été 😀\nagain")
    assert chat.decode([*ids, chat.eos_id]) == "it is l'été 😀\nagain"


@pytest.mark.parametrize("name", ["llama-3", "qwen-2.5", "mistral-0.1"])
def test_the_search_sees_the_same_ids(chats, name):
    chat = chats[name]
    dictionary = LlmDictionary(chat, chat.vocabulary_size + 3)
    assert dictionary.symbols[: chat.vocabulary_size] == chat.pieces()
    assert dictionary.eos() == chat.eos_id
    assert dictionary.pad() == chat.vocabulary_size + 3
    none = dictionary.pad()
    assert dictionary.bos() == (none if chat.bos_id is None else chat.bos_id)
    assert dictionary.unk() == (none if chat.unk_id is None else chat.unk_id)
    ids = chat.encode("name two\ncolours")
    hypothesis = dictionary.string(torch.tensor([*ids, dictionary.eos()]))
    assert dictionary.decode(hypothesis) == "name two\\ncolours"


@pytest.mark.parametrize("name", ["llama-3", "qwen-3"])
def test_as_text_a_prompt_lacks_only_what_a_server_adds(folders, chats, name):
    prompt = chats[name].prompt(Conversation.of_text("what is it"))
    tokenizer = AutoTokenizer.from_pretrained(folders[name])
    assert tokenizer(chats[name].prompt_text(prompt)).input_ids == prompt


def test_it_travels_to_workers(chats):
    prompt = Conversation.of_text("what is it")
    for chat in chats.values():
        assert pickle.loads(pickle.dumps(chat)).prompt(prompt) == chat.prompt(prompt)


def change(folder: Path, target: Path, **settings: object) -> Path:
    """A copy of a tokenizer with other settings."""
    target.mkdir()
    (target / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (target / "tokenizer_config.json").write_text(json.dumps({**config, **settings}))
    return target


TURN = "{% for m in messages %}<|im_start|>{{ m.role + '\\n' + BODY }}<|im_end|>{% endfor %}"
TURN += "<|im_start|>"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            TURN.replace("BODY", "'I said' + m.content"),
            r"but is 'ser\\nI said' before it; put a",
        ),
        (
            TURN.replace("BODY", "m.content + 'ing'"),
            r"but is 'ing<\|im_en' behind it; put a",
        ),
        (TURN.replace("BODY", "m.content | upper"), r"gives tokens of 'WHAT'; put a blank or"),
        (TURN.replace("BODY", "'?'"), r"but 'what' in its place gives tokens of ''"),
        (
            "{% for m in messages %}{{ m.role + '\n' + m.content + '\n' }}{% endfor %}<|im_start|>",
            r"must end an answer with a control symbol, but writes 'Ċ'",
        ),
        (
            "{{ raise_exception('only tools') }}",
            r"must write a conversation of user, but: only tools; use another",
        ),
        ("{% for %}", r"must write a conversation of user, but: "),
    ],
)
def test_templates_without_an_exact_slot_are_refused(folders, tmp_path, template, message):
    folder = change(folders["qwen-2.5"], tmp_path / "x", chat_template=template)
    with pytest.raises(ValueError, match=message):
        HuggingFaceChat(folder)


def test_text_that_a_recording_would_merge_with_is_refused(chats):
    turn = UserTurn(["say", AudioPart()])
    with pytest.raises(ValueError, match="put a blank or a line break between them"):
        chats["qwen-2.5"].prompt(Conversation([turn]))


def test_an_end_that_the_llm_does_not_know_is_refused(folders, tmp_path):
    folder = change(folders["llama-3"], tmp_path / "x", eos_token="<|end_of_text|>")
    chat = HuggingFaceChat(folders["llama-3"])
    other = chat.pieces().index("<|end_of_text|>")
    with pytest.raises(ValueError, match=rf"one of \[{other}\], but the chat template writes"):
        HuggingFaceChat(folder)
    for ends in (chat.eos_id, [other, chat.eos_id]):
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
        assert HuggingFaceChat(folder).eos_id == chat.eos_id


def test_broken_tokenizers_are_named(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json: the LLM's tokenizer must exist"):
        HuggingFaceChat(tmp_path)
    folder = change(folders["llama-3"], tmp_path / "x")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: the tokenizer must be one of Hugging"):
        HuggingFaceChat(folder)
    folder = change(folders["llama-3"], tmp_path / "y")
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"the tokenizer's configuration must be JSON, but"):
        HuggingFaceChat(folder)
