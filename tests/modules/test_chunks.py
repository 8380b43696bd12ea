"""Chunks: nothing between them is lost or doubled, and no frame shifts."""

from itertools import pairwise

import pytest
import torch
from test_conformer import gradients, make_encoder
from torch import Tensor

from fairseq_audiochat.modules import conformer
from fairseq_audiochat.modules.chunks import Chunk, Chunks
from fairseq_audiochat.modules.conformer import ConformerEncoder

SIZES = [(1, 0), (4, 0), (4, 1), (4, 3), (7, 2), (7, 6), (10, 5)]


def test_chunks_of_a_hand_computed_recording():
    # 20 frames, chunks of 10, at least 4 in common: a hop of at most 6, so 1 + ceil(10 / 6) = 3
    # chunks at 0, 5 and 10. Frames 5 to 9 lie in the first two: the seam is at (5 + 10) // 2 = 7.
    assert Chunks(10, 4).of(20) == [Chunk(0, 10, 0, 7), Chunk(5, 15, 7, 12), Chunk(10, 20, 12, 20)]
    assert Chunks(10, 4).of(10) == [Chunk(0, 10, 0, 10)]
    assert Chunks(10, 4).of(3) == [Chunk(0, 3, 0, 3)]
    # 1 frame more than a chunk: two chunks that have 9 in common
    assert Chunks(10, 4).of(11) == [Chunk(0, 10, 0, 5), Chunk(1, 11, 5, 11)]


@pytest.mark.parametrize(("frames", "overlap"), SIZES)
def test_every_frame_is_kept_once_from_where_it_has_most_context(frames: int, overlap: int):
    for length in range(1, 8 * frames):
        chunks = Chunks(frames, overlap).of(length)
        kept = [place for chunk in chunks for place in range(chunk.keep_from, chunk.keep_to)]
        assert kept == list(range(length))
        assert all(chunk.end - chunk.start == min(frames, length) for chunk in chunks)
        assert all(a.end - b.start >= overlap for a, b in pairwise(chunks))
        for chunk in chunks:
            for place in range(chunk.keep_from, chunk.keep_to):
                most = max(context(c, place, length) for c in chunks if c.start <= place < c.end)
                assert context(chunk, place, length) == most


def context(chunk: Chunk, place: int, length: int) -> int:
    """Frames to the nearer side; the recording's own ends are no loss."""
    left = length if chunk.start == 0 else place - chunk.start
    right = length if chunk.end == length else chunk.end - 1 - place
    return min(left, right)


def test_overlap_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="from 0 to less than a chunk's 5 frames, but is 5"):
        Chunks(5, 5)
    with pytest.raises(ValueError, match="but is -1"):
        Chunks(5, -1)


def chunked(frames: int, overlap: int) -> ConformerEncoder:
    """The encoder of `make_encoder`, with the same weights."""
    encoder = make_encoder().eval()
    encoder.encode_in_chunks(Chunks(frames, overlap))
    return encoder


def encode(encoder: ConformerEncoder, *clips: Tensor) -> list[Tensor]:
    """The frames of recordings in one batch."""
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True, padding_value=1e3)
    with torch.no_grad():
        frames, frame_lengths = encoder(batch, lengths)
    for row, length in zip(frames, frame_lengths):
        assert (row[length:] == 0).all()
    return [row[:length] for row, length in zip(frames, frame_lengths)]


def test_recordings_up_to_a_chunk_are_encoded_as_without_chunks_to_the_bit():
    clips = [torch.randn(length, 80) for length in (1, 77, 160)]  # 160 / 8 = 20 frames
    for got, expected in zip(encode(chunked(20, 5), *clips), encode(make_encoder().eval(), *clips)):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("at_a_time", [1, 30, 4096])
def test_chunked_batch_equals_members_alone(at_a_time: int, monkeypatch: pytest.MonkeyPatch):
    clips = [torch.randn(length, 80) for length in (401, 97, 160, 8, 1_000, 161)]
    alone = [encode(chunked(20, 5), clip)[0] for clip in clips]
    monkeypatch.setattr(conformer, "_CHUNK_FRAMES_AT_A_TIME", at_a_time)
    for together, one in zip(encode(chunked(20, 5), *clips), alone):
        # fp32; other shapes choose other summation orders
        torch.testing.assert_close(together, one, atol=5e-6, rtol=0)


def test_a_chunk_is_encoded_as_its_frames_alone():
    """Against the layers on the front end's frames, cut by hand as in the first test."""
    encoder = make_encoder().eval()
    clip = torch.randn(160, 80)
    with torch.no_grad():
        x, _ = encoder.subsampling(clip[None], torch.tensor([160]))
        parts = [
            encoder._encode(x[0, start:end], conformer.Packing([end - start], x.device))[low:high]
            for start, end, low, high in [(0, 10, 0, 7), (5, 15, 2, 7), (10, 20, 2, 10)]
        ]
    (got,) = encode(chunked(10, 4), clip)
    torch.testing.assert_close(got, torch.cat(parts), atol=5e-6, rtol=0)


def test_seams_shift_nothing():
    """Without attention a frame sees 2 layers x 5 frames of the kernel to each side: with an
    overlap of 20 every kept frame has them, and chunked equals whole."""
    whole, parts = make_encoder().eval(), chunked(25, 20)
    for encoder in (whole, parts):
        for layer in encoder.layers:
            torch.nn.init.zeros_(layer.attention.output.weight)
    clip = torch.randn(1_003, 80)
    torch.testing.assert_close(encode(parts, clip), encode(whole, clip), atol=5e-6, rtol=0)
    # ... and the test can fail: 19 frames in common leave 9 on one side
    (short,) = encode(set_chunks(parts, Chunks(25, 18)), clip)
    assert not torch.allclose(short, encode(whole, clip)[0], atol=1e-4)


def set_chunks(encoder: ConformerEncoder, chunks: Chunks | None) -> ConformerEncoder:
    encoder.encode_in_chunks(chunks)
    return encoder


def test_training_reads_recordings_whole():
    whole, parts = make_encoder().train(), chunked(10, 4).train()
    features, lengths = torch.randn(1, 400, 80), torch.tensor([400])
    results = []
    for encoder in (whole, parts):
        torch.manual_seed(1)
        results.append(gradients(encoder, encoder(features, lengths)[0]))
    for expected, got in zip(*results):
        assert torch.equal(got, expected)


def test_what_a_chunked_recording_costs_grows_with_duration_not_its_square(
    monkeypatch: pytest.MonkeyPatch,
):
    """Pairs of frames that attention scores: 1,000 frames whole would have a million a layer."""
    pairs = []

    def count(self: object, x: Tensor, packing: conformer.Packing, positions: Tensor) -> Tensor:
        pairs.append(sum(length**2 for length in packing.lengths))
        return torch.zeros_like(x)

    monkeypatch.setattr(conformer.RelativeSelfAttention, "forward", count)
    encode(chunked(20, 0), torch.zeros(8_000, 80))
    assert sum(pairs) == 2 * 50 * 20**2  # two layers
