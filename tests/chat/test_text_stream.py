"""Text as it comes: whole characters, and joined the whole text."""

import random
from pathlib import Path

import families
import pytest
import tiny

from fairseq_audiochat.chat.text_stream import TextStream, byte_run_ids
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.hugging_face_chat import HuggingFaceChat
from fairseq_audiochat.data.llama2_chat import Llama2Chat

TEXTS = ["It is red. Yes, of course!", "l'été 日本語 😀 again", "  two\n\n blanks ", "😀", "é", ""]
ODD = [b"\xf0\x9f", b"\xe6\x97a", b"\xc3\xa9\xff", b"a\xc3\xa9\xe6", b"\xff\xfe \xc3\xa9"]


@pytest.fixture(scope="module", params=["llama-2", *families.FAMILIES])
def template(request, tmp_path_factory: pytest.TempPathFactory) -> ChatTemplate:
    folder: Path = tmp_path_factory.mktemp("template")
    if request.param == "llama-2":
        return Llama2Chat(tiny.make_llm_tokenizer(folder / "tokenizer.model"))
    return HuggingFaceChat(families.make_family_tokenizer(folder / "f", request.param))


def streamed(template: ChatTemplate, ids: list[int]) -> list[str]:
    stream = TextStream(template.decode, byte_run_ids(template.pieces(), template.decode))
    pieces = [stream.add(token) for token in ids]
    assert stream.ids == ids
    return [*pieces, stream.rest()]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_in_whole_characters(template: ChatTemplate, text: str):
    ids = template.encode(text)
    pieces = streamed(template, ids)
    assert "".join(pieces) == template.decode(ids)
    assert not any("\ufffd" in piece for piece in pieces)
    if len(text) > 20:  # it does come as it is said
        assert sum(map(bool, pieces)) > 5


def test_any_ids_give_the_whole_text(template: ChatTemplate):
    """Random ids: half characters, control symbols, bytes that are none; 300 answers."""
    rng = random.Random(0)
    for _ in range(300):
        ids = [rng.randrange(template.vocabulary_size) for _ in range(rng.randint(1, 12))]
        assert "".join(streamed(template, ids)) == template.decode(ids)


def test_bytes_that_are_no_text_give_the_whole_text(template: ChatTemplate):
    """Of tokenizers with byte pieces; the others' bytes are among their pieces above."""
    names = {piece: token for token, piece in enumerate(template.pieces())}
    for content in ODD if "<0x00>" in names else []:
        ids = [names[f"<0x{byte:02X}>"] for byte in content]
        assert "".join(streamed(template, ids)) == template.decode(ids)
        ids += template.encode("it is")
        assert "".join(streamed(template, ids)) == template.decode(ids)


def test_a_character_waits_for_its_bytes_and_a_blank_for_nothing():
    r"""By hand: é is two tokens here, and decoders show a half one as ``\ufffd``."""
    pieces = [b"It", b" is", b" \xc3", b"\xa9", b"!", b"\xc3"]

    def decode(ids):
        return b"".join(pieces[token] for token in ids).decode(errors="replace")

    stream = TextStream(decode)
    assert [stream.add(token) for token in range(6)] == ["It", " is", " ", "é", "!", ""]
    assert stream.rest() == "\ufffd"
