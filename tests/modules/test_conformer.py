"""The encoder: its length formula, and that an utterance does not see its batch."""

import math

import pytest
import torch

from fairseq_audiochat.modules.audio_adapter import AudioAdapter
from fairseq_audiochat.modules.conformer import ConformerEncoder, ConvolutionModule
from fairseq_audiochat.modules.relative_attention import RelativeSelfAttention, relative_positions
from fairseq_audiochat.modules.subsampling import ConvSubsampling, subsampled_length


def make_encoder() -> ConformerEncoder:
    torch.manual_seed(0)
    return ConformerEncoder(
        num_mel_bins=80,
        subsampling_channels=8,
        layers=2,
        width=32,
        ffn_width=64,
        heads=4,
        kernel_size=11,
        dropout=0.1,
    )


def test_encoder_padded_batch_equals_members_alone():
    encoder = make_encoder().eval()
    lengths = [97, 160, 8, 1, 41]
    clips = [torch.randn(length, 80) for length in lengths]
    # Beyond the end stands rubbish, and the batch is longer than its longest member.
    batch = torch.full((len(clips), 203, 80), 1e3)
    for row, clip in zip(batch, clips):
        row[: len(clip)] = clip
    frames, frame_lengths = encoder(batch, torch.tensor(lengths))
    for row, length, clip in zip(frames, frame_lengths, clips):
        alone, (alone_length,) = encoder(clip.unsqueeze(0), torch.tensor([len(clip)]))
        assert length == alone_length
        # fp32; other shapes choose other summation orders
        torch.testing.assert_close(row[:length], alone[0], atol=2e-6, rtol=0)
        assert (row[length:] == 0).all()


def test_training_gradient_of_a_batch_is_the_sum_of_its_members():
    encoder = make_encoder().train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for layer in encoder.layers:
        layer.attention.dropout = 0.0
    clips = [torch.randn(length, 80) for length in (50, 90)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    together = gradients(encoder, encoder(batch, torch.tensor([50, 90]))[0])
    parts = [gradients(encoder, encoder(c.unsqueeze(0), torch.tensor([len(c)]))[0]) for c in clips]
    for both, first, second in zip(together, *parts):
        torch.testing.assert_close(both, first + second, atol=1e-4, rtol=1e-4)


def gradients(encoder: ConformerEncoder, frames: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(frames.square().sum(), list(encoder.parameters())))


def test_lengths_equal_the_true_output_for_every_length_and_stack():
    subsampling = ConvSubsampling(num_mel_bins=8, channels=1, width=2)
    adapters = {n: AudioAdapter(2, n, 3, 1.0) for n in range(1, 9)}
    for frames in range(1, 2001):
        features, lengths = torch.zeros(1, frames, 8), torch.tensor([frames])
        with torch.no_grad():
            encoded, encoded_lengths = subsampling(features, lengths)
        expected = math.ceil(frames / 8)  # 8 x 10 ms = 80 ms
        assert encoded.size(1) == encoded_lengths.item() == expected
        assert subsampled_length(lengths).item() == expected
        for n, adapter in adapters.items():
            with torch.no_grad():
                audio, audio_lengths = adapter(encoded, encoded_lengths)
            assert audio.size(1) == audio_lengths.item() == math.ceil(expected / n)


def test_figure_3_has_40_embeddings_for_3_2_seconds():
    frames_of_3_2_seconds = 1 + (51_200 - 400) // 160  # 318 windows of 25 ms, 10 ms apart
    assert subsampled_length(torch.tensor([frames_of_3_2_seconds])).item() == 40


def test_relative_attention_equals_a_loop_over_positions():
    torch.manual_seed(0)
    attention = RelativeSelfAttention(width=6, heads=2, dropout=0.0)
    torch.nn.init.normal_(attention.content_bias)
    torch.nn.init.normal_(attention.position_bias)
    x, length = torch.randn(1, 5, 6), 5
    mask = torch.tensor([[True, True, True, True, False]])
    output = attention(x, mask, relative_positions(length, 6, like=x))

    query, key, value = (t.view(5, 2, 3) for t in attention.query_key_value(x)[0].chunk(3, dim=-1))
    expected = torch.zeros(5, 2, 3)
    for head in range(2):
        u, v = attention.content_bias[head, 0], attention.position_bias[head, 0]
        for i in range(length):
            scores = []
            for j in range(4):  # the fifth frame is padding
                distance = attention.position(sinusoid(i - j)).view(2, 3)[head]
                q = query[i, head]
                scores.append(((q + u) @ key[j, head] + (q + v) @ distance) / math.sqrt(3))
            weights = torch.softmax(torch.stack(scores), dim=0)
            expected[i, head] = weights @ value[:4, head]
    torch.testing.assert_close(output[0], attention.output(expected.flatten(1)))


def sinusoid(distance: int) -> torch.Tensor:
    """Width 6: sine and cosine of distance / 10000^(0/6), (2/6), (4/6)."""
    angles = [distance / 10_000 ** (k / 6) for k in (0, 2, 4)]
    return torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)])


def test_dropout_acts_in_training_only():
    encoder = make_encoder()
    features, lengths = torch.randn(1, 40, 80), torch.tensor([40])
    assert not torch.equal(*(encoder.train()(features, lengths)[0] for _ in range(2)))
    assert torch.equal(*(encoder.eval()(features, lengths)[0] for _ in range(2)))


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of the number of heads, but is 30 with 4"):
        RelativeSelfAttention(width=30, heads=4, dropout=0.0)
    with pytest.raises(ValueError, match="--encoder-kernel-size must be odd, but is 10"):
        ConvolutionModule(width=8, kernel_size=10, dropout=0.0)
