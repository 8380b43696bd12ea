"""The encoder: its length formula, and that an utterance does not see its batch."""

import math

import pytest
import torch
import torch.nn.functional as F
from saved_bytes import saved_bytes
from torch import Tensor

from fairseq_audiochat.modules.audio_adapter import AudioAdapter
from fairseq_audiochat.modules.conformer import ConformerEncoder, ConformerLayer, ConvolutionModule
from fairseq_audiochat.modules.packing import Packing
from fairseq_audiochat.modules.relative_attention import relative_positions
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


def test_checkpointed_activations_give_the_same_gradients_from_less():
    """Dropout falls on the same elements when a layer is computed again."""
    features, lengths = torch.randn(2, 400, 80), torch.tensor([400, 250])
    plain, checkpointed = make_encoder().train(), make_encoder().train()
    checkpointed.checkpoint_activations()
    results, kept = [], []
    for encoder in (plain, checkpointed):
        kept.append(saved_bytes(lambda encoder=encoder: encoder(features, lengths)[0]))
        torch.manual_seed(1)
        results.append(gradients(encoder, encoder(features, lengths)[0]))
    for expected, got in zip(*results):
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    assert kept[1] < 0.6 * kept[0]  # what is left is the front end's


def test_training_gradient_of_a_batch_is_the_sum_of_its_members():
    encoder = make_encoder().train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
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


def plain_layer(layer: ConformerLayer, x: Tensor) -> Tensor:
    """One utterance ``(T, E)``, without dropout, from the layer's weights: formulas, no modules."""
    weights = dict(layer.named_parameters())

    def linear(name: str, x: Tensor) -> Tensor:
        product = x @ weights[f"{name}.weight"].T
        return product + weights[f"{name}.bias"] if f"{name}.bias" in weights else product

    def norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scale = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return centred / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def feed_forward(name: str, x: Tensor) -> Tensor:
        inner = linear(f"{name}.1", norm(f"{name}.0", x))
        return linear(f"{name}.4", inner * inner.sigmoid())

    def attention(x: Tensor) -> Tensor:
        # one head: scores (q + u) k(j) + (q + v) W r(i - j), over the root of the width
        query, key, value = linear("attention.query_key_value", x).chunk(3, dim=1)
        positions = relative_positions(len(x), x.size(1), like=x)  # of T - 1 ... -(T - 1)
        distances = linear("attention.position", positions)
        by_key = query + weights["attention.content_bias"][0]
        by_distance = query + weights["attention.position_bias"][0]
        scores = [
            [
                by_key[i] @ key[j] + by_distance[i] @ distances[len(x) - 1 - (i - j)]
                for j in range(len(x))
            ]
            for i in range(len(x))
        ]
        stacked = torch.stack([torch.stack(row) for row in scores]) / math.sqrt(x.size(1))
        return linear("attention.output", stacked.softmax(1) @ value)

    def convolution(x: Tensor) -> Tensor:
        value, gate = linear("convolution.gate", norm("convolution.norm", x)).chunk(2, dim=1)
        kernel = weights["convolution.depthwise.weight"]
        bias = weights["convolution.depthwise.bias"]
        x = (value * gate.sigmoid()).T[None]
        x = F.conv1d(x, kernel, bias, padding=kernel.size(2) // 2, groups=len(kernel))[0].T
        x = norm("convolution.depthwise_norm", x)
        return linear("convolution.output", x * x.sigmoid())

    x = x + feed_forward("feed_forward_in", x) / 2
    x = x + attention(norm("attention_norm", x))
    x = x + convolution(x)
    x = x + feed_forward("feed_forward_out", x) / 2
    return norm("norm", x)


@pytest.mark.parametrize("lengths", [[6, 1, 4, 9], [1], [1, 1], [7]])
def test_packed_layer_equals_a_plain_one_for_each_utterance(lengths):
    torch.manual_seed(0)
    layer = ConformerLayer(width=8, ffn_width=16, heads=1, kernel_size=5, dropout=0.1).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    row = torch.randn(sum(lengths), 8, requires_grad=True)
    packing = Packing(lengths, row.device)
    output = layer(row, packing, relative_positions(max(lengths), 8, like=row))
    expected = torch.cat([plain_layer(layer, x) for x in row.split(lengths)])
    # fp32; 20 frames and weights of this size make sums of some tens
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)
    wanted, weights = [row, *layer.parameters()], torch.randn_like(output)
    for ours, plain in zip(
        torch.autograd.grad((output * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
    ):
        torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-3)


def test_what_is_kept_for_the_backward_pass_grows_with_duration_not_its_square():
    encoder = make_encoder().train()

    def kept(frames: int) -> int:
        return saved_bytes(lambda: encoder(torch.randn(1, frames, 80), torch.tensor([frames]))[0])

    assert kept(16_000) < 4.1 * kept(4_000)


def test_dropout_acts_in_training_only():
    encoder = make_encoder()
    features, lengths = torch.randn(1, 40, 80), torch.tensor([40])
    assert not torch.equal(*(encoder.train()(features, lengths)[0] for _ in range(2)))
    assert torch.equal(*(encoder.eval()(features, lengths)[0] for _ in range(2)))


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match="--encoder-kernel-size must be odd, but is 10"):
        ConvolutionModule(width=8, kernel_size=10, dropout=0.0)
