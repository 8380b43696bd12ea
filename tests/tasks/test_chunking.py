"""``--chunk-seconds``: in every arm of both tasks, and refused where it makes no sense."""

from pathlib import Path

import pytest
import tiny
import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from omegaconf import OmegaConf

from fairseq_audiochat.models.conformer_ctc import ConformerCtcConfig
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks._cascade import Cascade
from fairseq_audiochat.tasks._chunking import chunks_of_seconds
from fairseq_audiochat.tasks.audio_chat import AudioChatTask
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask

SMALL = ConformerCtcConfig(
    _name="conformer_ctc",
    encoder_layers=2,
    encoder_width=32,
    encoder_ffn_width=64,
    encoder_heads=4,
    subsampling_channels=8,
)


def test_seconds_become_frames_of_80_ms():
    chunks = chunks_of_seconds(30, 6)
    assert chunks is not None
    assert (chunks.frames, chunks.overlap) == (375, 75)
    assert chunks_of_seconds(None, 6) is None


@pytest.mark.parametrize("overlap", [2, 5, -1])
def test_overlap_that_does_not_fit_is_refused(overlap: float):
    with pytest.raises(
        ValueError,
        match="--chunk-overlap-seconds must be from 0 to less than --chunk-seconds 2, but is "
        f"{overlap}",
    ):
        AudioCtcTask(AudioCtcConfig(data="", chunk_seconds=2, chunk_overlap_seconds=overlap))


@pytest.mark.parametrize("seconds", [0, -3, 0.03])
def test_chunk_without_a_frame_is_refused(seconds: float):
    with pytest.raises(ValueError, match=rf"--chunk-seconds must be at least 0\.08 .* {seconds}"):
        AudioCtcTask(AudioCtcConfig(data="", chunk_seconds=seconds, chunk_overlap_seconds=0))


@torch.no_grad()
def test_ctc_decodes_in_chunks(tmp_path: Path):
    tiny.make_vocabulary(tmp_path / "spm.model")
    models = []
    for seconds in (None, 1.6):
        cfg = AudioCtcConfig(
            data=str(tmp_path), seed=1, chunk_seconds=seconds, chunk_overlap_seconds=0.4
        )
        torch.manual_seed(0)
        models.append(AudioCtcTask(cfg).build_model(OmegaConf.structured(SMALL)).eval())
    assert_only_long_recordings_change(*(lambda *x, model=model: model(*x)[0] for model in models))


@torch.no_grad()
def test_audio_is_embedded_in_chunks(data_folder: Path, llm_path: Path):
    models = []
    for seconds in (None, 1.6):
        cfg = AudioChatConfig(
            data=str(data_folder),
            llm=str(llm_path),
            seed=1,
            chunk_seconds=seconds,
            chunk_overlap_seconds=0.4,
        )
        models.append(tiny.make_model(AudioChatTask(cfg)))
    assert_only_long_recordings_change(
        *(lambda *x, model=model: model.encoder.embed_audio(*x)[0] for model in models)
    )


def assert_only_long_recordings_change(whole, chunked):
    """1.6 s are 20 frames of 80 ms, 160 of 10 ms."""
    torch.manual_seed(0)
    for frames, is_cut in ((160, False), (161, True), (400, True)):
        recording = torch.randn(1, frames, 80), torch.tensor([frames])
        expected, got = whole(*recording), chunked(*recording)
        assert got.shape == expected.shape
        assert torch.equal(got, expected) != is_cut


def test_cascade_recognises_in_the_chunks_of_the_task(
    data_folder: Path, llm_path: Path, checkpoints: dict[str, Path]
):
    checkpoint = str(checkpoints["ctc"])
    cfg = AudioChatConfig(
        data=str(data_folder),
        llm=str(llm_path),
        seed=1,
        prompt="cascade",
        asr_checkpoint=checkpoint,
        chunk_seconds=0.8,
        chunk_overlap_seconds=0.2,
    )
    task = AudioChatTask(cfg)
    assert task._cascade is not None
    assert task._cascade.model.encoder._chunks is task.chunks
    whole = Cascade(checkpoint, task.template, 0)
    assert whole.model.encoder._chunks is None


def test_validation_overrides_what_the_checkpoint_was_trained_with(
    data_folder: Path, llm_path: Path, checkpoints: dict[str, Path]
):
    """As fairseq-validate loads: its command line's options replace those that are stored."""
    given = {"data": str(data_folder), "llm": str(llm_path), "chunk_seconds": 20.0}
    (model,), *_ = load_model_ensemble_and_task([str(checkpoints["chat"])], given)
    assert model.encoder.audio_encoder._chunks == Chunks(250, 50)  # 20 and 4 s of 80 ms
