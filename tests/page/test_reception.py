"""What the page does with a question, without a server."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.chat.audio_content import read_clip
from fairseq_audiochat.page.hearing import Hearing
from fairseq_audiochat.page.history import history_of
from fairseq_audiochat.page.reception import Reception

DECODING = {"max_new_tokens": 8, "beam": 1}


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What visitors are told."""
    told: list[str] = []
    monkeypatch.setattr("gradio.Warning", lambda text, duration: told.append(text))
    return told


def question(text: str, *recordings: Path) -> dict[str, Any]:
    return {"text": text, "files": list(map(str, recordings))}


def test_dialogues_whose_caches_are_not_kept_go_on_the_same(chat: AudioChat):
    def answered(kept_caches: int) -> list[Any]:
        reception, visitors = Reception(chat, DECODING, kept_caches), [None, None, None]
        for text in ("what is it", "tell me more"):
            for index, visitor in enumerate(visitors):
                *_, shown = reception.send(question(f"{text} {index}"), visitor)
                visitors[index] = shown.visitor
        kept = sum(visitor.dialogue._cache.positions > 0 for visitor in visitors)
        assert kept == min(kept_caches, 3)
        return [visitor.dialogue.messages for visitor in visitors]

    assert answered(1) == answered(4)


def test_the_question_is_shown_before_its_answer_and_comes_back_if_there_is_none(
    chat: AudioChat, recordings: list[Path], warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    reception = Reception(chat, DECODING, 1)
    first, *_, last = reception.send(question("what is it"), None)
    assert [bubble["role"] for bubble in first.history] == ["user"]
    said = history_of(last.visitor.dialogue.messages)

    def fail(*args: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(chat._answering, "tokens", fail)
    asked = question("tell me", recordings[0])
    *_, failed = reception.send(asked, last.visitor)
    assert failed.history == said
    assert failed.message.value["text"] == "tell me"
    assert [Path(file["path"]).name for file in failed.message.value["files"]] == ["0.wav"]
    assert warnings == ["The model failed; the reason is in the server's log."]


def test_a_question_must_ask_something(chat: AudioChat, warnings: list[str]):
    list(Reception(chat, DECODING, 1).send(question(" \n"), None))
    assert warnings == ["A question must have text or a recording, but has neither."]


def test_a_recording_may_be_gone(chat: AudioChat, warnings: list[str], tmp_path: Path):
    list(Reception(chat, DECODING, 1).send(question("", tmp_path / "gone.wav"), None))
    assert warnings == ["The recording is not there any more; upload it again."]


def test_a_dialogue_longer_than_the_context_loses_its_oldest_turns_and_says_so(
    chat: AudioChat, warnings: list[str]
):
    reception, visitor = Reception(chat, DECODING, 1), None
    notes = []
    for _ in range(3):  # in a context of 256 tokens
        *_, shown = reception.send(question("tell me more " * 30), visitor)
        visitor = shown.visitor
        notes.append(shown.note.value)
    assert warnings == []
    assert "context" not in notes[0]
    assert "it reads the first " in notes[-1]
    list(reception.send(question("tell me more " * 300), visitor))
    assert "must fit into the LLM&#x27;s 256 tokens" in warnings[0]


def test_words_are_escaped_in_questions_and_in_answers():
    words = '<img src="x">&amp;'
    content = [{"type": "audio", "audio": "a.wav"}, {"type": "text", "text": words}]
    shown = history_of(
        [{"role": "user", "content": content}, {"role": "assistant", "content": words}]
    )
    escaped = "&lt;img src=&quot;x&quot;&gt;&amp;amp;"
    assert [bubble["content"] for bubble in shown] == [{"path": "a.wav"}, escaped, escaped]


def test_the_picture_has_a_row_for_each_token_that_is_heard(
    chat: AudioChat, recordings: list[Path]
):
    features = read_clip(recordings[0], "", None)
    drawn = Hearing(chat).heat_map(features)
    rows, positions = drawn.cosines.shape
    assert rows == len(drawn.labels)
    assert positions == int(chat.model.encoder.audio_positions(np.array(len(features))))
    best_row = drawn.cosines.argmax(axis=0)  # no other token's row is above the nearest one's
    assert best_row[0] == 0
    assert set(best_row) == set(range(rows)) or len(set(drawn.labels)) < rows
    picture = Hearing(chat).draw(str(recordings[0]))
    assert picture.size[0] > 300


def test_a_cache_is_freed_between_questions_only(chat: AudioChat):
    whole, dialogue = chat.dialogue(), chat.dialogue()
    stream = dialogue.stream("what is it", max_new_tokens=8)
    next(stream)
    dialogue.free_cache()
    assert stream.finish() == whole.respond("what is it", max_new_tokens=8)
    assert dialogue._cache.positions > 0
    dialogue.free_cache()
    assert dialogue._cache.positions == 0
    assert dialogue.respond("and", max_new_tokens=8) == whole.respond("and", max_new_tokens=8)
