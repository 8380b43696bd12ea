"""Labels that can be read, from tokenizers of every kind."""

from pathlib import Path

import families
import pytest
import tiny

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.evaluate.alignment.token_labels import token_labels

TEXTS = ["what is the capital", "say it: “été”, 5 €", "two  blanks\nand 你好"]


@pytest.fixture(scope="module", params=["llama-2", "llama-3", "mistral-0.1", "qwen-3"])
def template(request: pytest.FixtureRequest, tmp_path_factory) -> ChatTemplate:
    folder = tmp_path_factory.mktemp("llm")
    if request.param == "llama-2":
        return Llama2Chat(tiny.make_llm_tokenizer(folder / "tokenizer.model"))
    return load_template(families.make_family_tokenizer(folder, request.param))


@pytest.mark.parametrize("text", TEXTS)
def test_labels_spell_the_text(template: ChatTemplate, text: str):
    ids = template.encode(text)
    labels = token_labels(template, ids)
    assert len(labels) == len(ids)
    spelt = "".join(label for label in labels if label != "…")
    # A piece of SentencePiece's own in front is a blank that the tokenizer adds.
    assert spelt.removeprefix("▁") == text.replace(" ", "·").replace("\n", "\\n")


def test_words_are_told_from_parts_of_words(tmp_path: Path):
    template = Llama2Chat(tiny.make_llm_tokenizer(tmp_path / "tokenizer.model"))
    ids = template.encode("what is the")
    assert token_labels(template, ids) == ["wh", "at", "·is", "·t", "he"]


def test_bytes_of_a_character_wait_for_its_last_one(tmp_path: Path):
    template = Llama2Chat(tiny.make_llm_tokenizer(tmp_path / "tokenizer.model"))
    ids = template.encode("a€")  # three bytes, which this tokenizer has no piece for
    assert token_labels(template, ids) == ["a", "…", "…", "€"]


class Spelling:
    """A template whose tokens are given texts."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def decode(self, ids):
        return "".join(self.texts[token] for token in ids).removeprefix(" ")

    def pieces(self):
        return [f"<{token}>" for token in range(len(self.texts))]


def test_a_token_without_text_has_its_piece():
    assert token_labels(Spelling("a", "", "b"), [0, 1, 2]) == ["a", "<1>", "b"]


def test_a_blank_that_decoding_drops_has_its_piece():
    assert token_labels(Spelling(" ", " x"), [0, 1]) == ["<0>", "·x"]


def test_characters_that_cannot_be_seen_are_escaped():
    assert token_labels(Spelling("\u200b\t"), [0]) == ["\\u200b\\t"]


def test_long_tokens_are_cut():
    label = token_labels(Spelling("-" * 100), [0])[0]
    assert label == "-" * 23 + "…"
