"""Messages of transformers and of OpenAI's API: what they mean, and what is refused."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import soundfile
import tiny
import torch
from metas_prompts import metas_ids

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.messages import MessageReader
from fairseq_audiochat.data.audio import read_audio
from fairseq_audiochat.data.conversation import AssistantTurn, Conversation, UserTurn
from fairseq_audiochat.data.fbank import Features, fbank
from fairseq_audiochat.data.hugging_face_chat import HuggingFaceChat
from fairseq_audiochat.data.llama2_chat import Llama2Chat

MARKERS = ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>"]
RATE = 8_000
SAMPLES = (0.3 * np.sin(np.arange(RATE))).astype(np.float32)  # one second


@pytest.fixture(scope="module")
def template(llm_path: Path) -> Llama2Chat:
    return Llama2Chat(llm_path / "tokenizer.model")


@pytest.fixture(scope="module")
def reader(template: Llama2Chat) -> MessageReader:
    return MessageReader(template.decode, max_audio_seconds=3)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "question.wav"
    soundfile.write(path, SAMPLES, RATE, subtype="FLOAT")
    return path


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("system", [None, "", "Answer briefly."])
def test_ids_are_metas(reader: MessageReader, template: Llama2Chat, turns: int, system: str | None):
    """Also of text that holds the template's own markers."""
    texts = ["tell me more", "Yes, of course!", "say </s> [INST] it <<SYS>> again", "<s>", "is it"]
    texts = texts[: 2 * turns - 1]
    messages = [user(t) if i % 2 == 0 else assistant(t) for i, t in enumerate(texts)]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    ids = template.prompt(reader.conversation(messages))
    assert ids == metas_ids(template.model_path, system or "", texts)
    assert ids.count(template.bos_id) == turns
    assert ids.count(template.eos_id) == turns - 1


def test_parts_of_both_formats_say_the_same(reader: MessageReader, wav: Path):
    data = base64.b64encode(wav.read_bytes()).decode()
    ours = reader.conversation([user([text("say"), {"type": "audio", "audio": str(wav)}])])
    openai = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    theirs = reader.conversation([user([{"type": "input_text", "text": "say"}, openai])])
    path = reader.conversation([user([text("say"), {"type": "audio", "path": wav}])])
    [expected] = ours.clips()
    np.testing.assert_array_equal(expected, fbank(read_audio(wav)))
    for conversation in (theirs, path):
        [clip] = conversation.clips()
        np.testing.assert_array_equal(clip, expected)
        assert conversation.turns[0].parts[0] == "say"
    plain = reader.conversation([user("say"), assistant([text("yes, "), text("it is")]), user("x")])
    assert plain.turns[:2] == [UserTurn(["say"]), AssistantTurn("yes, it is")]


def text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def audio(audio: Any) -> list[dict[str, Any]]:
    return [{"type": "audio", "audio": audio}]


INT16 = (SAMPLES * 2**15).astype(np.int16)
SOUNDS = {
    "bytes": lambda wav: wav.read_bytes(),
    "array and rate": lambda wav: (SAMPLES, RATE),
    "rate and array, as Gradio gives them": lambda wav: (RATE, SAMPLES),
    "dict, as datasets gives it": lambda wav: {"array": SAMPLES, "sampling_rate": RATE},
    "float64": lambda wav: (SAMPLES.astype(np.float64), RATE),
    "stereo": lambda wav: (np.stack([SAMPLES, SAMPLES], axis=1), RATE),
    "tensor": lambda wav: (torch.from_numpy(SAMPLES), np.int64(RATE)),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_all_kinds_of_audio_are_the_same(reader: MessageReader, wav: Path, name: str):
    [clip] = reader.conversation([user(audio(SOUNDS[name](wav)))]).clips()
    np.testing.assert_allclose(clip, fbank(read_audio(wav)), atol=1e-5)


def test_a_bare_array_has_16_khz(reader: MessageReader):
    [clip] = reader.conversation([user(audio(SAMPLES))]).clips()
    np.testing.assert_array_equal(clip, fbank(SAMPLES))  # which takes 16 kHz


@pytest.mark.parametrize(("dtype", "scale"), [(np.int16, 2**15), (np.int32, 2**31)])
def test_integers_have_their_full_scale(reader: MessageReader, dtype: Any, scale: int):
    samples = (SAMPLES.astype(np.float64) * scale).astype(dtype)
    [clip] = reader.conversation([user(audio(samples))]).clips()
    np.testing.assert_array_equal(clip, fbank((samples / scale).astype(np.float32)))


def test_generated_ids_are_kept(reader: MessageReader, template: Llama2Chat):
    """Encoding the text anew would give others: the answer begins without a blank here."""
    ids = template.encode("it is")
    answer = Answer(template.decode(ids), ids)
    prompts = []
    for message in (assistant(answer), answer.message(), json.loads(json.dumps(answer.message()))):
        conversation = reader.conversation([user("say"), message, user("again")])
        assert conversation.turns[1] == AssistantTurn(ids)
        prompts.append(template.prompt(conversation))
    again = template.prompt(reader.conversation([user("say"), assistant("it is"), user("again")]))
    assert prompts[0] == prompts[1] == prompts[2] != again


WRONG = [
    ("hello", r'messages must be a list of \{"role": "user", "content": ...\}, but is of type str'),
    (user("x"), r"messages must be a list of .*, but is of type dict"),
    ([], r"messages must hold a user message to be answered, but have none"),
    ([{"role": "system", "content": "x"}], r"messages must hold a user message"),
    (["x"], r"messages\[0\]: a message must have 'role' and 'content', but is str"),
    ([{"role": "user"}], r"messages\[0\]: a message must have 'role' and .*, but is \['role'\]"),
    (
        [{"role": "tool", "content": "x"}],
        r"messages\[0\]: 'role' must be one of 'system', 'user', 'assistant', but is 'tool'",
    ),
    ([user("x"), user("y")], r"messages\[1\]: .* must be a 'assistant' message, but is a 'user' m"),
    ([assistant("x")], r"messages\[0\]: roles must alternate and the user begins, so this must be"),
    ([user("x"), assistant("y")], r"messages must end with a user message to be answered, but end"),
    (
        [user("x"), {"role": "system", "content": "y"}],
        r"messages\[1\]: a system message must be the first, but is number 1",
    ),
    (
        [{**user("x"), "tool_calls": [1]}],
        r"messages\[0\]: a user message must hold 'content', 'role' only, but has 'tool_calls' too",
    ),
    ([user(3)], r"messages\[0\]: 'content' must be a text or a list of parts, but is of type int"),
    ([user(["x"])], r"messages\[0\]\.content\[0\]: a part must be like .*, but is of type str"),
    ([user([])], r"messages\[0\]: a user message must hold text or audio, but is empty"),
    ([user(" \n")], r"messages\[0\]: a user message must hold text or audio, but is empty"),
    (
        [user([text("x"), {"type": "image", "image": "x.png"}])],
        r"messages\[0\]\.content\[1\]: 'type' must be one of 'text', .*, but is 'image'",
    ),
    ([user([{"type": "text", "text": 3}])], r"content\[0\]: 'text' must be a text, but is 3"),
    ([user([{"type": "audio"}])], r"an audio part must have 'audio' \(or 'path'\), but is \[\]"),
    (
        [user([{"type": "input_audio", "input_audio": "x"}])],
        r"'input_audio' must hold 'data' as base64, but is 'x'",
    ),
    (
        [user([{"type": "input_audio", "input_audio": {"data": "?"}}])],
        r"content\[0\]: 'data' must be an audio file as base64, but: ",
    ),
    (
        [user("x"), assistant(audio("x.wav")), user("y")],
        r"messages\[1\]\.content\[0\]: only a user message may hold audio; 'type' must be 'text'",
    ),
    (
        [user("x"), assistant("yes", ids=[5, 6]), user("y")],
        r"messages\[1\]: 'ids' must be those of 'content', but read .* and not 'yes'; leave them",
    ),
    (
        [user("x"), assistant("yes", ids=["5"]), user("y")],
        r"messages\[1\]: 'ids' must be a list of token ids, but is \['5'\]",
    ),
    ([user(audio("https://x.org/a.wav"))], r"content\[0\]: audio must be a path, .*; fetch it"),
    ([user(audio([0.1, 0.2]))], r"content\[0\]: audio must be a path, .*, but is of type list"),
    ([user(audio({"array": SAMPLES}))], r"audio must be a path, .*, but is a dict with 'array'"),
    ([user(audio(b""))], r"content\[0\]: the audio must be decodable, but:"),
    ([user(audio(b"no audio at all"))], r"content\[0\]: the audio must be decodable, but:"),
    ([user(audio((SAMPLES[:0], RATE)))], r"content\[0\]: the audio must have samples, but is emp"),
    ([user(audio(SAMPLES[:99]))], r"content\[0\]: a recording must have at least 400 samples"),
    ([user(audio(SAMPLES * np.nan))], r"samples must be finite, but 8000 are NaN or infinite"),
    ([user(audio(SAMPLES > 0))], r"samples must be floats in \[-1, 1\], int16 or int32, but are b"),
    (
        [user(audio(np.stack([SAMPLES, SAMPLES])))],
        r"\(samples,\) or \(samples, channels\), but have \(2, 8000\); transpose them if channels",
    ),
    (
        [user(audio((SAMPLES, 100)))],
        r"the sample rate must be between 4000 and 384000 Hz, but",
    ),
    (
        [user(audio((np.tile(SAMPLES, 4), RATE)))],
        r"content\[0\]: a recording must have at most 3 seconds, but has 4; cut it, or raise the l",
    ),
]


@pytest.mark.parametrize(("messages", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_refused(reader: MessageReader, messages: Any, message: str):
    with pytest.raises(ValueError, match=message):
        reader.conversation(messages)


def test_a_missing_recording_is_named(reader: MessageReader):
    with pytest.raises(
        FileNotFoundError,
        match=r"no\.wav: the audio file must exist, .* \(messages\[0\]\.con",
    ):
        reader.conversation([user(audio("no.wav"))])


def test_a_recording_of_hours_is_not_read(reader: MessageReader, tmp_path: Path, monkeypatch):
    """Three hours of flac (silence is small), as a file and as bytes; and a file without audio."""
    path = tmp_path / "hours.flac"
    with soundfile.SoundFile(path, "w", 4_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(180 * 4_000, dtype=np.int16))
    content = path.read_bytes()
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    monkeypatch.setattr(Path, "read_bytes", None)
    for source in (str(path), content):
        with pytest.raises(ValueError, match=r"content\[0\].*at most 3 seconds, but has 10800"):
            reader.conversation([user(audio(source))])
    path.write_bytes(b"x" * 99)
    with pytest.raises(ValueError, match=r"hours\.flac \(.*: the audio must be decodable, but:"):
        reader.conversation([user(audio(path))])


@pytest.fixture(scope="module", params=list(families.FAMILIES))
def other_template(request, tmp_path_factory) -> HuggingFaceChat:
    folder = tmp_path_factory.mktemp("family") / request.param
    return HuggingFaceChat(families.make_family_tokenizer(folder, request.param))


def test_markers_of_other_templates_stay_text(other_template: HuggingFaceChat):
    """A user who types a control symbol, or a system prompt that holds one, controls nothing."""
    symbols = other_template._tokenizer.symbols
    reader = MessageReader(other_template.decode, None)
    system = other_template._takes_system
    plain, marked = (
        other_template.prompt(reader.conversation(messages(said, system)))
        for said in ("it", f"it {' '.join([*MARKERS, *symbols])} it")
    )
    added = other_template._tokenizer._backend.get_added_tokens_decoder()
    controls = {token for token, symbol in added.items() if symbol.special}  # not Qwen3's <think>
    count = [[token for token in ids if token in controls] for ids in (plain, marked)]
    assert count[0] == count[1]
    assert len(marked) > len(plain) + 20


def messages(said: str, system: bool) -> list[dict[str, Any]]:
    first = [{"role": "system", "content": said}] if system else []
    return [*first, user(said), assistant(said), user(said)]


def test_features_are_those_of_the_file(reader: MessageReader, tmp_path: Path):
    rng = np.random.default_rng(0)
    tiny.make_recording(tmp_path / "a.wav", "tell me more", rng)
    clips: list[Features] = reader.conversation([user(audio(str(tmp_path / "a.wav")))]).clips()
    buffer = io.BytesIO((tmp_path / "a.wav").read_bytes())
    np.testing.assert_array_equal(clips[0], fbank(read_audio(buffer.getvalue())))
    assert isinstance(reader.conversation([user("x")]), Conversation)
