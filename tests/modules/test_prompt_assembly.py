"""Prompt assembly, on prompts small enough to write down."""

import torch

from fairseq_audiochat.modules.prompt_assembly import assemble_prompts


def test_recordings_take_the_place_of_their_placeholders():
    # Two prompts: t0 [audio 0] t2, and [audio 1] t1 t2 [audio 2]; D = 1.
    tokens = torch.tensor([[[10.0], [-1.0], [12.0], [-9.0]], [[-1.0], [21.0], [22.0], [-1.0]]])
    placeholders = torch.tensor([[False, True, False, False], [True, False, False, True]])
    audio = torch.tensor([[[1.0], [2.0]], [[3.0], [-5.0]], [[4.0], [5.0]]])
    prompts = assemble_prompts(
        tokens, torch.tensor([3, 4]), placeholders, audio, torch.tensor([2, 1, 2])
    )
    assert prompts.lengths.tolist() == [4, 5]
    assert prompts.embeddings.squeeze(-1).tolist() == [
        [10.0, 1.0, 2.0, 12.0, 0.0],
        [3.0, 21.0, 22.0, 4.0, 5.0],
    ]


def test_gradients_reach_real_audio_positions_only():
    tokens = torch.zeros(1, 2, 1)
    audio = torch.ones(1, 3, 1, requires_grad=True)
    placeholders = torch.tensor([[False, True]])
    prompts = assemble_prompts(tokens, torch.tensor([2]), placeholders, audio, torch.tensor([2]))
    prompts.embeddings.sum().backward()
    assert audio.grad.flatten().tolist() == [1.0, 1.0, 0.0]


def test_text_alone_is_left_as_it_is():
    tokens = torch.randn(2, 3, 4)
    prompts = assemble_prompts(
        tokens,
        torch.tensor([3, 3]),
        torch.zeros(2, 3, dtype=torch.bool),
        torch.zeros(0, 0, 4),
        torch.zeros(0, dtype=torch.int64),
    )
    assert torch.equal(prompts.embeddings, tokens)
