"""The tiny `AudioChat` of the tests of `fairseq_audiochat.chat`."""

from chat.conftest import audio_chat, chat_checkpoint, chat_llm, recordings

__all__ = ["audio_chat", "chat_checkpoint", "chat_llm", "recordings"]
