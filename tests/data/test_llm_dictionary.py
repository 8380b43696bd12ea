"""The LLM's vocabulary for fairseq's search: no id is shifted, none is reused."""

from pathlib import Path

import pytest
import torch

from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.llm_dictionary import LlmDictionary


@pytest.fixture
def template(llm_path: Path) -> Llama2Chat:
    return Llama2Chat(llm_path / "tokenizer.model")


def test_ids_are_the_llms(template: Llama2Chat) -> None:
    """fairseq's own dictionaries put four symbols in front."""
    pieces = template.pieces()
    dictionary = LlmDictionary(template, len(pieces))
    assert dictionary.symbols[: len(pieces)] == pieces
    assert [dictionary.index(piece) for piece in pieces] == list(range(len(pieces)))
    assert (dictionary.bos(), dictionary.eos(), dictionary.unk()) == (1, 2, 0)
    assert dictionary.nspecial == 0


def test_pad_is_no_id_of_the_llm(template: Llama2Chat) -> None:
    dictionary = LlmDictionary(template, template.vocabulary_size)
    assert dictionary.pad() == template.vocabulary_size == len(dictionary) - 1


def test_embeddings_without_piece_get_a_name(template: Llama2Chat) -> None:
    """Some LLMs have more embeddings than pieces; pad stays behind them all."""
    dictionary = LlmDictionary(template, template.vocabulary_size + 3)
    assert dictionary.pad() == template.vocabulary_size + 3
    assert len(set(dictionary.symbols)) == len(dictionary)


def test_hypotheses_become_text(template: Llama2Chat) -> None:
    r"""As fairseq-generate does it: ids to pieces, pieces to text; a line break shows as ``\n``."""
    dictionary = LlmDictionary(template, template.vocabulary_size + 3)
    for text in ("tell me more", "name two\ncolours", "<s> l'été 😀", "a  b"):
        ids = template.encode(text)
        pieces = dictionary.string(torch.tensor([*ids, dictionary.eos()]))
        assert dictionary.decode(pieces) == text.replace("\n", "\\n")
        assert dictionary.decode_ids([*ids, dictionary.eos()]) == text.replace("\n", "\\n")
    assert dictionary.decode(dictionary.string(torch.tensor([template.vocabulary_size]))) == ""


def test_tokenizer_of_another_llm_is_refused(template: Llama2Chat) -> None:
    size = template.vocabulary_size
    with pytest.raises(
        ValueError,
        match=rf"tokenizer\.model: the tokenizer must fit the LLM, but has {size} pieces and the "
        rf"LLM {size - 1} embeddings; use the tokenizer that belongs to it",
    ):
        LlmDictionary(template, size - 1)
