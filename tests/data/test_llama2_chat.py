"""Llama-2's prompt: Meta's token ids, on the genuine vocabulary and on any of its kind.

The genuine `tokenizer.model` may not be shipped. What decides the template's ids is rebuilt
here: Llama-2's SentencePiece settings, 32,000 pieces, and at their genuine ids the pieces that
can take part in encoding the template.
"""

import random
from pathlib import Path

import pytest
import sentencepiece
import tiny
from metas_prompts import metas_ids
from sentencepiece import sentencepiece_model_pb2

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    UserTurn,
)
from fairseq_audiochat.data.llama2_chat import Llama2Chat

# Meta's prompt, in the published ids of Llama-2 (llama/tokenizer.py, llama/generation.py).
PREFIX = [1, 518, 25580, 29962, 3532, 14816, 29903, 6778, 13, 13]  # <s>[INST] <<SYS>>\n\n
PREFIX += [29966, 829, 14816, 29903, 6778, 13, 13]  # <</SYS>>\n\n
SUFFIX = [518, 29914, 25580, 29962]  # [/INST]

# Genuine ids, including the merges on the way: IN and ST before INST, ▁< before ▁<<. The last
# line's ids are free: these letters only stand between merges and never remain.
GENUINE = {
    **{"▁<": 529, "▁[": 518, "</": 829, "▁<<": 3532, ">>": 6778, "<<": 9314, "SY": 14816},
    **{"INST": 25580, "IN": 1177, "ST": 1254, "▁": 29871, "s": 29879, "/": 29914},
    **{">": 29958, "[": 29961, "]": 29962, "<": 29966, "S": 29903},
    **{"I": 31_000, "N": 31_001, "T": 31_002, "Y": 31_003},
}
FIRST_PIECE = 259  # behind <unk>, <s>, </s> and 256 bytes


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Llama2Chat:
    """A model of 32,000 pieces in which every id that the template needs is the genuine one."""
    model = sentencepiece_model_pb2.ModelProto()
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    piece_of = {id: piece for piece, id in GENUINE.items()}
    for id in range(32_000):
        piece, kind, score = piece_of.get(id, chr(0xF0000 + id)), kinds.NORMAL, FIRST_PIECE - id
        if id < FIRST_PIECE:
            piece = ("<unk>", "<s>", "</s>")[id] if id < 3 else f"<0x{id - 3:02X}>"
            kind = (kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL)[id] if id < 3 else kinds.BYTE
            score = 0
        model.pieces.add(piece=piece, type=kind, score=score)
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = 32_000
    model.trainer_spec.pad_id = -1
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = True
    path = tmp_path_factory.mktemp("genuine") / "tokenizer.model"
    path.write_bytes(model.SerializeToString())
    return Llama2Chat(path)


def test_prefix_and_suffix_are_the_genuine_ids(genuine: Llama2Chat) -> None:
    assert genuine.prompt(Conversation.of_audio()) == [*PREFIX, AUDIO_PLACEHOLDER, *SUFFIX]
    assert genuine.prompt(Conversation.of_text("SS")) == [*PREFIX, 29903, 29903, *SUFFIX]


def test_symbols_inside_text_stay_text(genuine: Llama2Chat) -> None:
    """A user who types ``<s>`` must not begin a sequence; after a blank it is 529 29879 29958."""
    assert genuine.encode(" <s>") == [529, 29879, 29958]
    assert genuine.encode("<s>") == [29966, 29879, 29958]
    ids = genuine.prompt(Conversation.of_text("s <s> </s>"))
    assert ids == [*PREFIX, 29879, 529, 29879, 29958, 529, 29914, 29879, 29958, *SUFFIX]
    assert ids.count(genuine.bos_id) == 1
    assert genuine.eos_id not in ids


def test_newline_is_its_byte(genuine: Llama2Chat) -> None:
    """Byte 0x0A has the id 3 + 10."""
    assert genuine.encode("\n") == [13]


def test_answer_ends_as_metas_history_does(genuine: Llama2Chat) -> None:
    """Text is put between blanks (the last one is 29871); generated ids stay as they are."""
    later = [1, 518, 25580, 29962, 29871, 29879, *SUFFIX]
    history = [UserTurn(["s"]), AssistantTurn("S"), UserTurn(["s"])]
    expected = [*PREFIX, 29879, *SUFFIX, 29871, 29903, 29871, 2, *later]
    assert genuine.prompt(Conversation(history)) == expected
    history[1] = AssistantTurn([29903, 13])
    expected = [*PREFIX, 29879, *SUFFIX, 29903, 13, 2, *later]
    assert genuine.prompt(Conversation(history)) == expected


def random_text(rng: random.Random) -> str:
    """Never blank: Meta's code strips the system block's line breaks before an empty text."""
    words = [*tiny.WORDS, "<s>", "</s>", "[/INST]", "[INST]", "<<SYS>>", "2024", "3.14", "l'été"]
    words += ["日本語", "😀", "\n", "\n\n", "  ", "\t", "a\u00a0b", "É", "n't", "-", "$1,000"]
    text = "".join(rng.choice(words) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 8)))
    outer = rng.choice(["", " ", "  ", "\n", "\t "])
    return outer + (text if text.strip() else "is") + rng.choice(["", " ", "\n", "   "])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Llama2Chat:
    """A tokenizer that merges: 600 pieces of lines like those that are tried."""
    rng = random.Random(0)
    lines = [line for _ in range(3_000) for line in random_text(rng).split("\n") if line]
    path = tmp_path_factory.mktemp("trained") / "tokenizer.model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(path.with_suffix("")),
        vocab_size=600,
        **tiny.LLAMA2_SETTINGS,
    )
    return Llama2Chat(path)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("system", ["", "Answer briefly.\nBe kind. "])
def test_equals_metas_code_on_random_texts(trained: Llama2Chat, turns: int, system: str) -> None:
    """Encoding part by part must be encoding the whole; 300 conversations each."""
    rng = random.Random(turns)
    for _ in range(300):
        texts = [random_text(rng) for _ in range(2 * turns - 1)]
        conversation = Conversation(
            [UserTurn([t]) if i % 2 == 0 else AssistantTurn(t) for i, t in enumerate(texts)],
            system,
        )
        ids = trained.prompt(conversation)
        assert ids == metas_ids(trained.model_path, system, texts)
        assert ids.count(trained.bos_id) == turns


def test_empty_text_keeps_the_prefix(trained: Llama2Chat) -> None:
    """Here Meta's code differs: it strips the prefix's own line breaks.

    A recogniser can give an empty transcript, and training knows only the whole prefix.
    """
    empty = trained.prompt(Conversation.of_text(""))
    audio = trained.prompt(Conversation.of_audio())
    assert empty == [id for id in audio if id != AUDIO_PLACEHOLDER]
    assert empty != metas_ids(trained.model_path, "", [""])


def test_text_and_audio_share_the_template(trained: Llama2Chat) -> None:
    """The placeholder stands exactly where the transcript's tokens stand."""
    text = trained.prompt(Conversation.of_text("tell me more"))
    audio = trained.prompt(Conversation.of_audio())
    position = audio.index(AUDIO_PLACEHOLDER)
    inside = trained.encode("tell me more")
    assert text == [*audio[:position], *inside, *audio[position + 1 :]]


def test_parts_of_a_turn_keep_their_order(trained: Llama2Chat) -> None:
    turn = UserTurn([" say it", AudioPart(), "again "])
    ids = trained.prompt(Conversation([turn]))
    position = ids.index(AUDIO_PLACEHOLDER)
    prefix = trained.prompt(Conversation.of_audio())
    start = prefix.index(AUDIO_PLACEHOLDER)
    assert ids[start:position] == trained.encode(" say it")
    assert ids[position + 1 :] == trained.encode("again") + prefix[start + 1 :]


def test_audio_in_every_turn(trained: Llama2Chat) -> None:
    turns = [UserTurn([AudioPart("a")]), AssistantTurn("yes"), UserTurn([AudioPart("b")])]
    ids = trained.prompt(Conversation(turns))
    assert ids.count(AUDIO_PLACEHOLDER) == 2
    assert ids.count(trained.bos_id) == 2


def test_decoding_gives_the_text_without_symbols(trained: Llama2Chat) -> None:
    ids = trained.encode("it is l'été 😀\nagain")
    assert trained.decode([*ids, trained.eos_id]) == "it is l'été 😀\nagain"
    assert len(trained.pieces()) == trained.vocabulary_size == 600


def train(folder: Path, **changes: object) -> Path:
    """A tokenizer whose settings differ from Llama-2's."""
    path = folder / "tokenizer.model"
    settings = {**tiny.LLAMA2_SETTINGS, "vocab_size": 330, **changes}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(tiny.WORDS), "[INST] <<SYS>> <</SYS>> [/INST]"] * 20),
        model_prefix=str(path.with_suffix("")),
        **settings,
    )
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bos_id": -1}, r"tokenizer\.model: the tokenizer must have a BOS symbol, but has none"),
        ({"eos_id": -1}, r"tokenizer\.model: the tokenizer must have a EOS symbol, but has none"),
        (
            {"normalization_rule_name": "nmt_nfkc"},  # makes a line break a blank
            r"tokenizer\.model: the tokenizer must keep newlines, .*rule_name=identity",
        ),
    ],
)
def test_tokenizers_of_another_kind_are_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Llama2Chat(train(tmp_path, **changes))


def test_tokenizer_that_joins_a_newline_to_a_word_is_refused(tmp_path: Path) -> None:
    r"""With a piece such as ``\n[``, encoding part by part is not encoding the whole."""
    symbols = ["\n", "\n["]
    chat = Llama2Chat(train(tmp_path, user_defined_symbols=symbols))
    with pytest.raises(
        ValueError, match=r"no token may join a newline to what follows it, but '\[I"
    ):
        chat.encode("[INST]")


def test_no_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no\.model: the LLM's tokenizer must exist, but d"
    ):
        Llama2Chat(tmp_path / "no.model")
    for content in (b"this is no model", b""):
        (tmp_path / "bad.model").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.model: the tokenizer must be a SentencePiece"):
            Llama2Chat(tmp_path / "bad.model")
