"""The registered criterions: from a model's output to a loss, its size and what is logged."""

from fairseq_audiochat.criterions import audio_ctc, response_distillation

__all__ = ["audio_ctc", "response_distillation"]
