"""A turn that is forgotten, and one that was interrupted anywhere: as if it had not been asked."""

from typing import Any

import pytest

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.chat.dialogue_cache import DialogueCache


def test_undo(audio_chat: AudioChat, recordings: list[str]):
    dialogue, other = audio_chat.dialogue(), audio_chat.dialogue()
    spoken = [{"type": "audio", "audio": recordings[0]}]
    for content in ("what is it", spoken):
        assert dialogue.respond(content, max_new_tokens=9) == other.respond(
            content, max_new_tokens=9
        )
    dialogue.respond("red", max_new_tokens=9)
    assert dialogue.undo() == {"role": "user", "content": "red"}
    assert dialogue.messages == other.messages
    assert dialogue.respond("say it", max_new_tokens=9).ids == (
        other.respond("say it", max_new_tokens=9).ids
    )
    for expected in ("say it", spoken, "what is it"):
        assert dialogue.undo()["content"] == expected
    assert dialogue.messages == []
    with pytest.raises(ValueError, match="must have a turn to forget, but has none"):
        dialogue.undo()


def test_undo_behind_turns_that_were_dropped(audio_chat: AudioChat):
    """No more turns can be left out than there are."""
    dialogue = audio_chat.dialogue()
    for _ in range(5):
        dialogue.respond("say it again " * 8, drop_oldest_turns=True, max_new_tokens=5)
    assert dialogue.dropped_turns > 1
    while dialogue.messages:
        dialogue.undo()
    assert dialogue.dropped_turns == 0
    assert dialogue.respond("say it", max_new_tokens=5) == audio_chat.respond(
        [{"role": "user", "content": "say it"}], max_new_tokens=5
    )


@pytest.mark.parametrize("moment", ["begin", "add", "_remember"])
def test_interrupted(audio_chat: AudioChat, moment: str, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C when one layer has been read and the other has not."""
    dialogue = audio_chat.dialogue()
    dialogue.respond("what is it", max_new_tokens=9)

    def interrupted(cache: DialogueCache, *args: Any, **kwargs: Any) -> None:
        layer = cache.keys_and_values.layers[1]
        layer.keys = layer.values = layer.keys[:, :, :1]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DialogueCache, moment, interrupted)
        with pytest.raises(KeyboardInterrupt):
            dialogue.respond("tell me more", max_new_tokens=9)
    expected = audio_chat.dialogue(dialogue.messages).respond("tell me again", max_new_tokens=9)
    assert dialogue.respond("tell me again", max_new_tokens=9).ids == expected.ids
