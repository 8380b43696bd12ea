"""Positions of prompts, counted by hand."""

import pytest
import torch

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.context_limit import ContextLimit

LIMIT = ContextLimit(max_positions=20, audio_positions=lambda frames: frames // 10)
SAMPLE = {
    "utterance_ids": ["two recordings", "text"],
    "net_input": {
        "src_tokens": torch.tensor([[5, AUDIO_PLACEHOLDER, 6, AUDIO_PLACEHOLDER], [5, 6, 9, 9]]),
        "src_lengths": torch.tensor([4, 2]),
        "frame_lengths": torch.tensor([30, 50]),
    },
}


def test_recordings_count_by_their_frames():
    # Two tokens, 3 and 5 positions of audio; and two tokens.
    assert LIMIT.prompt_positions(SAMPLE["net_input"]).tolist() == [10, 2]


def test_a_search_beyond_the_context_names_the_longest_prompt():
    LIMIT.refuse_long_search(SAMPLE, max_new_tokens=9)  # 10 + 9 + EOS = 20
    with pytest.raises(
        ValueError,
        match="is 10 and the prompt of utterance 'two recordings' has 10; 9 would fit",
    ):
        LIMIT.refuse_long_search(SAMPLE, max_new_tokens=10)
