"""The registered tasks: wiring."""

from fairseq_audiochat.tasks import audio_chat, audio_ctc

__all__ = ["audio_chat", "audio_ctc"]
