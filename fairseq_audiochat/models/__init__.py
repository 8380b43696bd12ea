"""The registered models and their configs: fairseq's border, nothing else."""

from fairseq_audiochat.models import audio_prefix_llm, conformer_ctc

__all__ = ["audio_prefix_llm", "conformer_ctc"]
