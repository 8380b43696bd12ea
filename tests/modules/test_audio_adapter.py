"""Stacking and projection."""

import torch

from fairseq_audiochat.modules.audio_adapter import AudioAdapter


def test_last_group_is_filled_with_zeros_never_dropped():
    adapter = AudioAdapter(encoder_width=1, stack=2, llm_width=2, embedding_std=1.0)
    adapter.projection.weight.data = torch.eye(2)
    # Three frames: groups (1, 2) and (3, 0); the 9 lies behind the end and must not be seen.
    frames = torch.tensor([[[1.0], [2.0], [3.0], [9.0], [9.0]]])
    audio, lengths = adapter(frames, torch.tensor([3]))
    assert lengths.tolist() == [2]
    assert audio[0, :2].tolist() == [[1.0, 2.0], [3.0, 0.0]]


def test_projection_starts_at_the_scale_of_the_embeddings():
    torch.manual_seed(0)
    adapter = AudioAdapter(encoder_width=64, stack=3, llm_width=512, embedding_std=0.02)
    audio, _ = adapter(torch.randn(4, 90, 64), torch.full((4,), 90))
    # 4 x 30 x 512 samples: the standard deviation is known to within about a percent
    assert abs(audio.std().item() / 0.02 - 1) < 0.05
